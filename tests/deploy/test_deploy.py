"""The containers, what Prometheus scrapes and what Grafana shows: the files agree with each other and with the code."""

import itertools
import json
import re
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here
from prometheus_client import CollectorRegistry

from aggregator.metrics import Metrics
from aggregator.settings import exchange_targets, load
from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market
from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process
from tests.parts.redis_server import RedisServer, binary
from tests.parts.service import Service, call

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
BOARD = json.loads((DEPLOY / "grafana/dashboards/overview.json").read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]
TARGETS = [(panel, target) for panel in PANELS for target in panel.get("targets", [])]

PROMTOOL, PROMETHEUS_PROGRAM = shutil.which("promtool"), shutil.which("prometheus")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: Prometheus is not installed")

_NO_METRICS = {"and", "or", "unless", "bool", "offset"}
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
_SECRET = re.compile(r"passw|secret|token|credential|access_key|api_key", re.IGNORECASE)
_ANSWER_SECONDS = 60.0


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool at the top of the repository."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def filled_in(query: str, window: str = "1m") -> str:
    """Put the dashboard's own defaults, and a window for the rates, in the place of Grafana's variables."""
    values = {"__rate_interval": window} | {one["name"]: one["query"] for one in BOARD["templating"]["list"]}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], query)


def metric_names(query: str) -> set[str]:
    """Return the metrics a PromQL query reads: the names left when texts, selectors, windows and groupings are gone."""
    for noise in (r'"[^"]*"', r"\{[^}]*\}", r"\[[^\]]*\]", r"\b(by|without|on|ignoring)\s*\([^)]*\)"):
        query = re.sub(noise, " ", query)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", query)) - _NO_METRICS


# Compose


def test_everything_is_published_on_this_machine_only() -> None:
    """No port is open to the network the machine is in; what PUBLISH may open is the API, the exchanges and Grafana."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    may_open = {
        name for name, ports in published.items() for port in ports if port.startswith("${PUBLISH:-127.0.0.1}:")
    }
    assert may_open == {"aggregator", "proxy", "exchange1", "exchange2", "exchange3", "grafana"}
    assert {name: ports for name, ports in published.items() if name not in may_open} == {
        "prometheus": ["127.0.0.1:9090:9090"]
    }


def test_stores_are_out_of_reach() -> None:
    """Redis and DynamoDB are in a network without a way in or out, with nobody but the service."""
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    inside = {name for name, service in SERVICES.items() if "stores" in service["networks"]}
    assert inside == {"redis", "dynamodb", "aggregator", "refresher", "api"}
    assert all(SERVICES[name]["networks"] == ["stores"] for name in ("redis", "dynamodb"))


@pytest.mark.parametrize("name", SERVICES)
def test_containers_can_do_little(name: str) -> None:
    """Nothing to gain, nothing to write but where it is said, and no more memory and processes than said."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service.get("user") != "root" or name == "dynamodb"


def test_example_settings_are_those_of_the_compose_file() -> None:
    """What .env.example names is what docker-compose.yml takes from outside, with the same defaults."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    taken = dict(re.findall(r"\$\{(\w+):-(.*?)\}", (ROOT / "docker-compose.yml").read_text()))
    assert told == taken


def test_no_secrets_in_the_compose_file() -> None:
    """What is secret comes from the caller's environment, and addresses carry no passwords."""
    settings = [item for service in SERVICES.values() for item in service.get("environment", {}).items()]
    secret = {name: value for name, value in settings if _SECRET.search(name)}
    assert {name: value for name, value in secret.items() if not re.fullmatch(r"\$\{\w+:?-?\}", value)} == {}
    assert not re.search(r"://[^/\s]*@", (ROOT / "docker-compose.yml").read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_pinned_checked_and_restarted(name: str) -> None:
    """Every container has a fixed version, a health check and a restart policy, and waits for health alone."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    if "build" in service:
        assert "image" not in service, "two services that export one image fail the first build of docker compose 2"
        assert "\nHEALTHCHECK " in dockerfile(service["build"]["dockerfile"].removeprefix("deploy/"))
    else:
        assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$", service["image"])
        assert service["healthcheck"]["test"][0] == "CMD"
    assert all(one == {"condition": "service_healthy"} for one in service.get("depends_on", {}).values())


@pytest.mark.parametrize("service", ["aggregator", "refresher", "api"])
def test_the_service_accepts_its_settings(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """The settings in the compose file are known and valid, and each exchange they name is one of the containers."""
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
    settings = load({})
    for target in exchange_targets(settings.exchanges):
        port = target.url.removeprefix(f"http://{target.name}:")
        assert SERVICES[target.name]["command"] == ["--name", target.name, "--port", port]
        assert SERVICES[target.name]["environment"] == {"HEALTH_PORT": port}
        assert SERVICES[target.name]["ports"] == [f"${{PUBLISH:-127.0.0.1}}:{port}:{port}"]
    for url in (settings.cache_url, settings.history_url.partition("endpoint=")[2]):
        assert urllib.parse.urlsplit(url).hostname in SERVICES[service]["depends_on"]


def test_mounted_files_exist() -> None:
    """What is mounted from the repository is there; Docker would make an empty folder of a file that is not."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    missing = [mount for mount in mounts if mount.startswith("./") and not (ROOT / mount.split(":")[0]).exists()]
    assert missing == []


def test_compose_accepts_the_file() -> None:
    """docker-compose itself finds nothing wrong."""
    old, new = shutil.which("docker-compose"), shutil.which("docker")
    if old:
        command = [old]
    elif new and run(new, "compose", "version").returncode == 0:
        command = [new, "compose"]
    else:
        pytest.skip("neither docker-compose nor docker compose here")
    checked = run(*command, "--file", "docker-compose.yml", "config", "--quiet")
    assert checked.returncode == 0, checked.stderr


# The image


DOCKERFILES = ("Dockerfile", "proxy/Dockerfile")


def dockerfile(name: str = "Dockerfile") -> str:
    """Return a Dockerfile with continued lines joined."""
    return (DEPLOY / name).read_text().replace("\\\n", " ")


def test_image_is_built_from_hashes_and_runs_as_nobody_special() -> None:
    """Dependencies are checked by hash, nothing runs as root, and signals reach the service."""
    text = dockerfile()
    installs = re.findall(r"pip install .*", text)
    assert len(installs) == 2
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in installs)
    assert '\nENTRYPOINT ["' in text


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfile_needs_no_buildkit(name: str) -> None:
    """The plain builder can read it, and what runs is nobody special."""
    assert not re.search(r"^# *syntax=|--mount=|--link|--chmod|<<", dockerfile(name), re.MULTILINE)
    assert re.findall(r"^USER (.*)", dockerfile(name), re.MULTILINE) == ["10001:10001"]
    assert re.search(r"^STOPSIGNAL SIG", dockerfile(name), re.MULTILINE)


def test_the_one_port_leads_to_the_replicas() -> None:
    """HAProxy listens where compose publishes it, and looks for the replicas by their service's name and port."""
    text = (DEPLOY / "proxy/haproxy.cfg").read_text()
    (inside,) = {port.rpartition(":")[2] for port in SERVICES["proxy"]["ports"]}
    assert f"\n    bind :{inside}\n" in text
    (name, port) = re.findall(r"server-template \w+ \d+ (\w+):(\d+) ", text)[0]
    assert f"\nEXPOSE {port}\n" in dockerfile()
    assert SERVICES[name]["environment"]["AGGREGATOR_ROLE"] == "api"
    assert SERVICES[name]["scale"] > 1


def test_build_context_is_what_the_image_copies() -> None:
    """What the Dockerfile copies exists and is let through by .dockerignore, and nothing else is."""
    let_in = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = [re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(name), re.MULTILINE) for name in DOCKERFILES]
    assert sorted(let_in) == sorted(" ".join(itertools.chain(*copies)).split())
    assert [name for name in let_in if not (ROOT / name).exists()] == []


# Prometheus and Grafana


@needs_promtool
def test_prometheus_accepts_its_configuration() -> None:
    """Promtool finds nothing wrong."""
    checked = run(PROMTOOL or "", "check", "config", str(DEPLOY / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    """Promtool plays each alert's fault, and silence, to it."""
    checked = run(PROMTOOL or "", "test", "rules", "tests/deploy/alerts_test.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_read_metrics_that_exist() -> None:
    """And Prometheus is given the file in its container."""
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    families = Metrics(CollectorRegistry()).registry.collect()
    known = {family.name + suffix for family in families for suffix in _SUFFIXES[family.type]}
    assert {name for rule in group["rules"] for name in metric_names(rule["expr"])} <= known
    assert "./deploy/alerts.yml:/etc/prometheus/alerts.yml:ro" in SERVICES["prometheus"]["volumes"]


def test_names_agree_from_service_to_dashboard() -> None:
    """Prometheus scrapes the service's container, Grafana asks Prometheus', and every panel that data source."""
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    (found,) = jobs["aggregator"]["dns_sd_configs"]
    scraped = [name for name, one in SERVICES.items() if one.get("environment", {}).get("AGGREGATOR_CACHE_URL")]
    assert sorted(found["names"]) == sorted(scraped)
    assert f"\nEXPOSE {found['port']}\n" in dockerfile()
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {"aggregator", "prometheus"} <= SERVICES.keys()
    asked = [panel["datasource"] for panel in PANELS if panel["type"] != "row"] + [
        one["datasource"] for _, one in TARGETS
    ]
    assert all(one == {"type": "prometheus", "uid": source["uid"]} for one in asked)
    named = {job for _, target in TARGETS for job in re.findall(r'job="([^"]*)"', target["expr"])}
    assert named <= jobs.keys()


def test_dashboard_is_where_grafana_looks() -> None:
    """The folder Grafana is told to read, and its home dashboard, are mounted from the repository."""
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/files.yml").read_text())["providers"]
    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/overview.json"


def test_panels_can_be_told_apart_and_do_not_overlap() -> None:
    """Ids are unique and every panel has a place of its own in the 24 columns."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = set(itertools.product(columns, rows))
        assert columns.stop <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_panels_say_what_they_show() -> None:
    """Every panel has a description, and what it shows has a name; several lines are never all called the same."""
    for panel in PANELS:
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]
        assert all(legends) or panel["type"] == "stat", panel["title"]


def test_queries_read_metrics_that_exist() -> None:
    """Every name in a query is one the service exports (or Prometheus' own `up`)."""
    families = Metrics(CollectorRegistry()).registry.collect()
    known = {"up"} | {f.name + suffix for f in families for suffix in _SUFFIXES[f.type]}
    asked = {name for _, target in TARGETS for name in metric_names(filled_in(target["expr"]))}
    assert len(asked) > 30
    assert asked - known == set()


@needs_promtool
def test_queries_parse(tmp_path: Path) -> None:
    """Promtool understands every query."""
    rules = [{"record": f"query:{at}", "expr": filled_in(one["expr"])} for at, (_, one) in enumerate(TARGETS)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = run(PROMTOOL or "", "check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr


# The dashboard on a running service


class RunningPrometheus:
    """Prometheus with deploy/prometheus.yml, but for where things are and how often it looks."""

    def __init__(self, folder: Path, service: str) -> None:
        self._port = free_port()
        where = {"aggregator": service.removeprefix("http://"), "prometheus": f"127.0.0.1:{self._port}"}
        for job in (config := json.loads(json.dumps(PROMETHEUS)))["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job |= {"scrape_interval": "1s", "static_configs": [{"targets": [where[job["job_name"]]]}]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.process = Process(
            [
                PROMETHEUS_PROGRAM or "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ]
        )

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series a query gives now, without those that are NaN."""
        url = f"http://127.0.0.1:{self._port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        answer = call("GET", url)
        assert answer.status == 200, f"{query}: {answer.text}"
        return [series for series in answer.json["data"]["result"] if series["value"][1] != "NaN"]


def labels_shown(legend: str, series: list[dict[str, Any]]) -> bool:
    """Whether some series has every label its legend names; without one, a name would have a hole in it."""
    wanted = set(re.findall(r"\{\{(\w+)\}\}", legend))
    return any(wanted <= one["metric"].keys() for one in series)


def read_everything(service: Service) -> None:
    """Make calls of every kind the dashboard tells apart."""
    for path in ("/prices?tier=hot", "/prices/btcusdt", "/prices/btcusdt/history", "/prices/nothing", "/ready"):
        service.get(path)
    service.post("/refresh/btcusdt")


@pytest.fixture
def troubled_service(tmp_path: Path, market: Market, dynamodb_running: DynamoServer) -> Iterator[Service]:
    """Run the service on DynamoDB, with one exchange failing and its Redis gone, so that there are errors to show."""
    if binary() is None:
        pytest.skip("no redis-server here; see the header")
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("".join((ROOT / "symbols.csv").read_text().splitlines(keepends=True)[:31]))
    with ExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.stop)
        service = Service(
            tmp_path,
            symbols_file=symbols,
            cache_url=redis.url,
            history_url=dynamodb_running.url("dashboard"),
            exchanges=market.setting,
            hot_size=10,
            medium_size=10,
            hot_interval=0.5,
            medium_interval=1,
            cold_interval=2,
        )
        stack.callback(service.process.stop)
        service.filled()
        redis.stop()
        market.exchanges["exchange3"].faults(error_rate=1)
        yield service


@pytest.mark.real
@pytest.mark.skipif(PROMETHEUS_PROGRAM is None, reason="no prometheus here")
def test_every_query_shows_data(tmp_path: Path, troubled_service: Service) -> None:
    """On a running service in some trouble, every panel has something to show and every line its full name."""
    prometheus = RunningPrometheus(tmp_path, troubled_service.url)
    try:
        prometheus.process.wait_for_line("ready to receive web requests")
        waiting = {(target["expr"], target["legendFormat"]) for _, target in TARGETS}
        deadline = time.monotonic() + _ANSWER_SECONDS
        while waiting and time.monotonic() < deadline:
            read_everything(troubled_service)
            time.sleep(0.5)  # twice a scrape
            waiting = {
                (expr, legend)
                for expr, legend in waiting
                if not labels_shown(legend, prometheus.ask(filled_in(expr, window="10s")))
            }
        assert waiting == set()
        assert {one["value"][1] for one in prometheus.ask("up")} == {"1"}
    finally:
        prometheus.process.stop()
