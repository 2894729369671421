"""The container files agree with each other and with the code."""

import argparse
import itertools
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from aggregator.archive.storages.address import S3Address, parse_archive_url
from aggregator.cli import produce
from aggregator.exchanges.targets import exchange_targets
from aggregator.settings.loader import load
from aggregator.trades.event_log.kafka.address import parse_kafka_url
from tests.parts.containers import compose_command, run
from tests.parts.process import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("aggregator", "refresher", "api", "processor1", "processor2", "stream-api", "sql-service")
STREAM = {"kafka", "producer", "processor1", "processor2", "stream-api"}
PROFILES = [word for name in ("scale", "stream", "sql", "lake") for word in ("--profile", name)]
_SECRET = re.compile(r"passw|secret|token|credential|access_key|api_key", re.IGNORECASE)


# Compose


def published(publish: str = "127.0.0.1") -> dict[str, set[str]]:
    """Return the addresses that each service's ports are published on, with this value of PUBLISH."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    return {
        name: {re.sub(r"\$\{PUBLISH:-127\.0\.0\.1\}", publish, port).partition(":")[0] for port in its}
        for name, its in ports.items()
    }


def test_everything_is_published_on_this_machine_only() -> None:
    """All ports are published on 127.0.0.1; PUBLISH can open only the API, the exchanges and Grafana."""
    assert set().union(*published().values()) == {"127.0.0.1"}
    opened = published("0.0.0.0")  # noqa: S104  # nothing listens: this is a value of the setting
    kept = [name for name, addresses in opened.items() if addresses == {"127.0.0.1"}]
    assert kept == ["prometheus"]
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
    exchanges = {"exchange1", "exchange2", "exchange3"}
    assert opened.keys() - kept == {"aggregator", "proxy", "stream-api", "sql-service", "grafana"} | exchanges


def test_stores_are_out_of_reach() -> None:
    """Redis, DynamoDB, Kafka and S3 are in an internal network, alone with the service and the producer.

    TimescaleDB is in another one, which Grafana reaches, too.
    """
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    inside = {name for name, service in SERVICES.items() if "stores" in service["networks"]}
    alone = {"redis", "dynamodb", "kafka", "lake", "producer"}
    assert inside == {*alone, *OURS} - {"sql-service"}
    assert COMPOSE["networks"]["sql"] == {"internal": True}
    reached = {name: one["networks"] for name, one in SERVICES.items() if "sql" in one["networks"]}
    assert reached == {"timescale": ["sql"], "sql-service": ["front", "sql"], "grafana": ["front", "sql"]}
    assert all(SERVICES[name]["networks"] == ["stores"] for name in alone)


@pytest.mark.parametrize("name", SERVICES)
def test_containers_can_do_little(name: str) -> None:
    """Containers have no capabilities, no new privileges, a read-only root, and limits for memory and pids."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service.get("user") != "root" or name in {"dynamodb", "lake"}


def test_example_settings_are_those_of_the_compose_file() -> None:
    """.env.example has exactly the variables of docker-compose.yml, with the same defaults."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    taken = dict(re.findall(r"\$\{(\w+):-(.*?)\}", (ROOT / "docker-compose.yml").read_text()))
    assert told == taken


def test_no_secrets_in_the_compose_file() -> None:
    """Secrets come from the caller's environment, and no address contains a password."""
    settings = [item for service in SERVICES.values() for item in service.get("environment", {}).items()]
    secret = {name: value for name, value in settings if _SECRET.search(name)}
    assert {name: value for name, value in secret.items() if not re.fullmatch(r"\$\{\w+:?-?\}", value)} == {}
    assert not re.search(r"://[^/\s]*:[^/\s]*@", (ROOT / "docker-compose.yml").read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_pinned_checked_and_restarted(name: str) -> None:
    """Every container has a fixed version, a health check and a restart policy, and waits for healthy containers."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    if "build" in service:
        assert "image" not in service, "two services that export one image fail the first build of docker compose 2"
        assert "\nHEALTHCHECK " in dockerfile(service["build"]["dockerfile"].removeprefix("deploy/"))
    else:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", service["image"])
        assert service["healthcheck"]["test"][0] == "CMD"
    assert all(one == {"condition": "service_healthy"} for one in service.get("depends_on", {}).values())


@pytest.mark.parametrize("service", OURS)
def test_the_service_accepts_its_settings(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """The service accepts its settings in the compose file, and each exchange in them is one of the containers."""
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
    settings = load({})
    for target in exchange_targets(settings.exchanges):
        port = target.url.removeprefix(f"http://{target.name}:")
        assert SERVICES[target.name]["command"] == ["--name", target.name, "--port", port]
        assert SERVICES[target.name]["environment"] == {"HEALTH_PORT": port}
        assert SERVICES[target.name]["ports"] == [f"${{PUBLISH:-127.0.0.1}}:{port}:{port}"]
    database = settings.history_url if settings.history_url.startswith("postgresql:") else ""
    urls = [database or settings.cache_url, database or settings.history_url.partition("endpoint=")[2]]
    urls += [settings.trades_log] if settings.reads_kafka else []
    for url in urls:
        assert urllib.parse.urlsplit(url).hostname in SERVICES[service]["depends_on"]


@pytest.mark.parametrize("service", OURS)
def test_files_of_a_service_can_be_written(service: str) -> None:
    """Each file of the settings is on a volume or in a temporary file system: the rest of a container is read-only."""
    writable = [mount.split(":")[1] for mount in SERVICES[service].get("volumes", [])] + SERVICES[service]["tmpfs"]
    environment = SERVICES[service]["environment"]
    names = [name for name in environment if name.endswith(("_PATH", "_URL"))]
    files = [environment[name].removeprefix("sqlite:///") for name in names]
    folders = {str(Path(file).parent) for file in files if file.startswith("/")}
    assert folders
    assert folders <= set(writable)


def test_each_writer_has_a_volume_of_its_own() -> None:
    """Two processes must not share an outbox or a file of dead letters."""
    writers = ("aggregator", "refresher", "processor1", "processor2", "sql-service")
    volumes = ["outbox", "outbox2", "processor1", "processor2", "market-outbox"]
    assert [SERVICES[name]["volumes"] for name in writers] == [[f"{volume}:/data"] for volume in volumes]


def test_the_stream_has_one_topic() -> None:
    """The profile has a broker, a producer that creates the topic, two processors of it and an API process."""
    assert {name for name, one in SERVICES.items() if one.get("profiles") == ["stream"]} == STREAM
    logs = {SERVICES[name]["environment"]["AGGREGATOR_TRADES_LOG"] for name in STREAM - {"kafka"}}
    (address,) = map(parse_kafka_url, logs)
    assert SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{address.brokers}"
    assert f'"{address.topic}" not in ' in SERVICES["producer"]["healthcheck"]["test"][-1]
    command = SERVICES["producer"]["command"]
    assert command[command.index("--partitions") + 1] == "6"
    roles = {
        name: SERVICES[name]["environment"]["AGGREGATOR_ROLE"] for name in ("processor1", "processor2", "stream-api")
    }
    assert roles == {"processor1": "processor", "processor2": "processor", "stream-api": "api"}


def test_the_archive_is_a_bucket_of_the_lake() -> None:
    """The address in .env.example names the S3 server and its port, and the health check creates that bucket."""
    (url,) = re.findall(r"profile lake: (s3://\S+);", (ROOT / ".env.example").read_text())
    address = parse_archive_url(url)
    assert isinstance(address, S3Address)
    assert address.endpoint == "http://lake:8333"
    assert "-s3.port=8333" in SERVICES["lake"]["command"]
    assert f"PUT /{address.bucket} " in SERVICES["lake"]["healthcheck"]["test"][-1]


def test_the_producer_accepts_its_options() -> None:
    """Those of docker-compose.yml, with the default of PRODUCE_RATE."""
    name, *options = (re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in SERVICES["producer"]["command"])
    parser = argparse.ArgumentParser()
    produce.COMMAND.add_to(parser)
    assert name == "produce"
    assert parser.parse_args(options).rate == 100


def test_one_process_takes_trades() -> None:
    """Only the services that keep them on a volume, or in the database, subscribe to trades."""
    takes = {name: one["environment"].get("AGGREGATOR_TRADE_FEEDS") for name, one in SERVICES.items() if name in OURS}
    assert takes == dict.fromkeys(OURS, "false") | dict.fromkeys(("aggregator", "sql-service"), "true")
    assert "outbox:/data" in SERVICES["aggregator"]["volumes"]
    assert SERVICES["aggregator"]["environment"]["AGGREGATOR_TRADES_URL"].startswith("sqlite:////data/")


def test_mounted_files_exist() -> None:
    """Every mounted file exists; for a missing one, Docker would create an empty folder."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    missing = [mount for mount in mounts if mount.startswith("./") and not (ROOT / mount.split(":")[0]).exists()]
    assert missing == []


def test_compose_accepts_the_file() -> None:
    """docker-compose accepts the file."""
    command = compose_command()
    if command is None:
        pytest.skip("neither docker-compose nor docker compose here; see the header")
    run(*command, "--file", "docker-compose.yml", *PROFILES, "config", "--quiet")


# The image


DOCKERFILES = ("Dockerfile", "proxy/Dockerfile")


def dockerfile(name: str = "Dockerfile") -> str:
    """Return a Dockerfile's lines, with continued lines joined."""
    return (DEPLOY / name).read_text().replace("\\\n", " ")


def test_image_is_built_from_hashes_and_runs_as_nobody_special() -> None:
    """Dependencies are installed with hashes, the process is not root, and it receives signals itself."""
    text = dockerfile()
    installs = re.findall(r"pip install .*", text)
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in installs)
    assert '\nENTRYPOINT ["' in text


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfile_needs_no_buildkit(name: str) -> None:
    """The Dockerfile works without BuildKit, and sets a user."""
    assert not re.search(r"^# *syntax=|--mount=|--link|--chmod|<<", dockerfile(name), re.MULTILINE)
    assert re.findall(r"^USER (.*)", dockerfile(name), re.MULTILINE) == ["10001:10001"]
    assert re.search(r"^STOPSIGNAL SIG", dockerfile(name), re.MULTILINE)


def test_the_one_port_leads_to_the_replicas() -> None:
    """HAProxy listens on the published port and resolves the replicas by their service name and port."""
    text = (DEPLOY / "proxy/haproxy.cfg").read_text()
    (inside,) = {port.rpartition(":")[2] for port in SERVICES["proxy"]["ports"]}
    assert f"\n    bind :{inside}\n" in text
    (name, port) = re.findall(r"server-template \w+ \d+ (\w+):(\d+) ", text)[0]
    assert f"\nEXPOSE {port}\n" in dockerfile()
    assert SERVICES[name]["environment"]["AGGREGATOR_ROLE"] == "api"
    assert SERVICES[name]["scale"] > 1


def test_build_context_is_what_the_image_copies() -> None:
    """Everything that the Dockerfile copies exists and passes .dockerignore, and nothing else passes it."""
    let_in = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = [re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(name), re.MULTILINE) for name in DOCKERFILES]
    assert sorted(let_in) == sorted(set(" ".join(itertools.chain(*copies)).split()))
    assert [name for name in let_in if not (ROOT / name).exists()] == []
