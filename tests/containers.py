"""All of docker-compose.yml on a real Docker engine, with its published ports: `./test.sh containers`.

A plain run does not collect this file: it needs an engine, the ports 3000, 8080 to 8083, 8090, 8091 and 9090, and some
minutes. The tests depend on their order: up, look, break, down.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from tests.parts.containers import HEAL_SECONDS, Container, Containers, compose_command
from tests.parts.monitoring import ALERTS, RECORDS
from tests.parts.process import ROOT, wait_for
from tests.parts.service import Answer, call

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = [name for name, service in SERVICES.items() if service.get("build", {}).get("dockerfile") == "deploy/Dockerfile"]
ALONE, SHARED = "http://127.0.0.1:8080", "http://127.0.0.1:8090"
PROMETHEUS = "http://127.0.0.1:9090"


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """Start all containers, and remove them at the end."""
    compose = compose_command()
    if compose is None:
        pytest.fail("neither docker-compose nor docker compose here")
    found = Containers(compose)
    try:
        found.up()
        yield found
    finally:
        found.down()


def asked(url: str, method: str = "GET") -> Answer | None:
    """Call a URL; return None when no server answers."""
    try:
        return call(method, url)
    except OSError:
        return None


def is_sound(url: str) -> bool:
    """Return whether the service is ready without reasons."""
    answer = asked(f"{url}/ready")
    return answer is not None and answer.status == 200 and answer.json["reasons"] == []


def has_settled(url: str) -> bool:
    """Return whether the service is ready, and a refresh and a history read succeed: the containers just started."""
    return is_sound(url) and all(
        answer is not None and answer.status == 200
        for answer in (asked(f"{url}/refresh/btcusdt", "POST"), asked(f"{url}/prices/btcusdt/history"))
    )


def targets() -> dict[str, str]:
    """Return the health of every Prometheus target, by scrape URL."""
    answer = asked(f"{PROMETHEUS}/api/v1/targets")
    active = answer.json["data"]["activeTargets"] if answer is not None and answer.status == 200 else []
    return {target["scrapeUrl"]: target["health"] for target in active}


def all_up() -> bool:
    """Return whether Prometheus reaches all eight targets: itself and each process, replicas by their own addresses."""
    return list(targets().values()) == ["up"] * 8


def test_everything_comes_up_healthy(containers: Containers) -> None:
    """After one `up`, every container exists and is healthy by its own check."""
    there = sorted(one.service for one in containers.all())
    assert there == sorted([*SERVICES, "api"])  # there are two of api
    for one in containers.all():
        one.heal()


@pytest.mark.parametrize("url", [ALONE, SHARED])
def test_live(containers: Containers, url: str) -> None:
    """The checks of `./test.sh live` pass for the single service and for the replicas' common port."""
    assert containers.all()
    wait_for(lambda: has_settled(url), HEAL_SECONDS, f"{url} ready without reasons, and done with its start")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/live_deployment.py", "--url", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout


def test_prometheus_reaches_everything(containers: Containers) -> None:
    """All Prometheus targets are up."""
    assert containers.all()
    wait_for(all_up, HEAL_SECONDS, f"all targets up, not {targets()}")


def rules() -> dict[str, str]:
    """Return the health of every rule that Prometheus has loaded."""
    answer = asked(f"{PROMETHEUS}/api/v1/rules")
    groups = answer.json["data"]["groups"] if answer is not None and answer.status == 200 else []
    return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


def test_prometheus_goes_by_our_rules(containers: Containers) -> None:
    """Prometheus has loaded every alert and recording rule, and none fails."""
    assert containers.all()
    ours = [rule.get("alert") or rule["record"] for rule in (*ALERTS, *RECORDS)]
    wait_for(lambda: rules() == dict.fromkeys(ours, "ok"), HEAL_SECONDS, f"all rules sound, not {rules()}")


def test_grafana_answers(containers: Containers) -> None:
    """Grafana answers on its port without a login."""
    assert containers.all()
    answer = asked("http://127.0.0.1:3000/api/health")
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize("service", SERVICES)
def test_containers_can_do_little(containers: Containers, service: str) -> None:
    """Containers have no capabilities, a read-only root and bounded memory; ours do not run as root."""
    one = containers.of(service)
    status = one.do("cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    host = one.inspect()["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert one.do("touch", "/usr/mine").returncode != 0
    if service in OURS:
        assert one.do("id", "-u").stdout.strip() == "10001"


@pytest.mark.parametrize("service", ["aggregator", "api", "refresher", "processor1", "stream-api"])
def test_the_doctor_finds_nothing_broken(containers: Containers, service: str) -> None:
    """Inside the containers, `aggregator doctor` reports no failure."""
    done = containers.of(service).do("aggregator", "doctor")
    assert done.returncode < 2, done.stdout
    assert "fail" not in done.stdout


def test_a_killed_replica_loses_nobodys_read(containers: Containers) -> None:
    """While one of two API replicas is killed, every read through the common port is answered with 200."""
    statuses: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            answer = asked(f"{SHARED}/prices/btcusdt")
            statuses.append(0 if answer is None else answer.status)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_for(lambda: len(statuses) > 50, what="50 reads")
        one = containers.of("api")
        one.crash()
        one.heal()
        seen = len(statuses)
        wait_for(lambda: len(statuses) > seen + 50, what="50 reads more")
    finally:
        over.set()
        reader.join()
    assert set(statuses) == {200}


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_recovers(containers: Containers, service: str) -> None:
    """A container whose process is killed restarts by itself, and all services that need it become ready again."""
    one = containers.of(service)
    one.crash()
    for other in containers.all():
        other.heal()
    for url in (ALONE, SHARED):
        wait_for(lambda: is_sound(url), HEAL_SECONDS, f"{url} ready without reasons")  # noqa: B023  # called within this iteration
    wait_for(all_up, HEAL_SECONDS, f"all targets up, not {targets()}")


@pytest.mark.parametrize("service", [*OURS, "proxy"])
def test_told_to_stop_it_ends_in_order(containers: Containers, service: str) -> None:
    """`docker stop` ends a container with exit code 0, well before Docker would kill it."""
    one = containers.of(service)
    stopped(one)
    code = one.inspect()["State"]["ExitCode"]
    assert code == 0
    one.do_outside("start")
    one.heal()


def stopped(one: Container) -> None:
    """Stop a container; fail when it takes so long that Docker had to kill it."""
    started = time.monotonic()
    one.do_outside("stop")
    assert time.monotonic() - started < 25


def test_down_leaves_nothing(containers: Containers) -> None:
    """After `down`, no container, network or volume of the project is left."""
    containers.down()
    assert containers.all() == []
    assert containers.listed("network", "ls", "{{.Name}}") == []
    assert containers.listed("volume", "ls", "{{.Name}}") == []
