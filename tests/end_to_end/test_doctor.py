"""`aggregator doctor`: every fault it is there for, planted in the real parts, and what it says of it."""

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import aioboto3
import pytest
from prometheus_client import CollectorRegistry

from aggregator.doctor.finding import Level, Seen
from aggregator.doctor.machine import clock_check
from aggregator.metrics import Metrics
from aggregator.stores.dynamodb import DynamoTable
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.redis.client import RedisClient
from tests.exchanges.venues.base import Quote
from tests.exchanges.venues.sockets import BinanceFeed, KrakenFeed, beside
from tests.parts import redis_server
from tests.parts.dynamodb import DynamoServer
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.examples import NOW, price
from tests.parts.exchanges import Market
from tests.parts.ports import free_port
from tests.parts.process import ROOT
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

pytestmark = pytest.mark.real

LOCAL = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
ENOUGH = "+@all -@dangerous +info ~aggregator:* &aggregator:*"  # the rights that the doctor asks for


class Report:
    """What the doctor has said: its exit code, and each finding by what was looked at."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.stderr == ""
        self.code = done.returncode
        self.text = done.stdout
        said: dict[str, Any] = json.loads(done.stdout)
        self.level = said["level"]
        self.checks: list[dict[str, str]] = said["checks"]

    def of(self, check: str) -> tuple[str, str]:
        """Return the one finding of a check: its level, and what it says."""
        (found,) = [one for one in self.checks if one["check"] == check]
        return found["level"], f"{found['says']}; {found['mend']}"

    def amiss(self) -> dict[str, str]:
        """Return the level of every check that is not well."""
        return {one["check"]: one["level"] for one in self.checks if one["level"] != "ok"}


def ran(*command: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the doctor with these settings and no others; faults that hang it are cut short."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGGREGATOR_")}
    environment |= {f"AGGREGATOR_{name.upper()}": str(value) for name, value in settings.items()}
    command = (*command, sys.executable, "-m", "aggregator", "doctor")
    return subprocess.run(
        [*command, "--seconds", "4", "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def sound(tmp_path: Path, market: Market) -> dict[str, object]:
    """Return settings under which all is well: in memory, on SQLite, with three exchanges."""
    history = f"sqlite:///{tmp_path}/prices.db"
    return {"port": 0, "symbols_file": ROOT / "symbols.csv", "history_url": history, "exchanges": market.setting}


@pytest.fixture
async def table(dynamodb_running: DynamoServer) -> AsyncIterator[str]:
    """Make a table as the service does; return its name."""
    name = f"doctor-{uuid.uuid4()}"
    made = DynamoTable(name, "us-east-1", dynamodb_running.endpoint, Metrics(CollectorRegistry()))
    await made.open()
    yield name
    await made.close()


@pytest.fixture
def on_dynamodb(
    sound: dict[str, object], table: str, dynamodb_running: DynamoServer, tmp_path: Path
) -> dict[str, object]:
    """Return sound settings with the history in that table."""
    outbox = tmp_path / "outbox.db"
    return sound | {"history_url": dynamodb_running.url(table), "outbox_path": outbox, "outbox_max_bytes": 1 << 20}


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """Run a Redis that can be stopped and told who may do what."""
    with redis_server.alone() as server:
        yield server


async def told(server: RedisServer, *command: str) -> None:
    """Send Redis a command as its owner."""
    client = RedisClient(server.url, 1)
    await client.redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has not typed it
    await client.close()


# Well


def test_all_is_well(on_dynamodb: dict[str, object], redis_running: RedisServer) -> None:
    """With everything there: every line is ok, exit code 0."""
    report = Report(ran(**on_dynamodb, cache_url=redis_running.url))
    assert report.amiss() == {}, report.text
    assert (report.code, report.level) == (0, "ok")
    assert [one["check"] for one in report.checks] == [
        *("settings", "symbols", "port", "files", "redis", "outbox", "dynamodb"),
        *("exchange exchange1", "exchange exchange2", "exchange exchange3", "clock"),
    ]


async def test_it_leaves_nothing_behind(
    on_dynamodb: dict[str, object], own_redis: RedisServer, dynamodb_running: DynamoServer, table: str, tmp_path: Path
) -> None:
    """No key in Redis, no item in the table, no file on the disk."""
    await told(own_redis, "FLUSHALL")
    assert Report(ran(**on_dynamodb, cache_url=own_redis.url)).code == 0
    client = RedisClient(own_redis.url, 1)
    assert await client.redis.keys("*") == []
    await client.close()
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        assert (await dynamodb.scan(TableName=table))["Items"] == []
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240  # nothing else runs in this loop


def test_a_line_for_each_check(sound: dict[str, object]) -> None:
    """Without --json: level, what was looked at, and what was found."""
    environment = os.environ | {f"AGGREGATOR_{name.upper()}": str(value) for name, value in sound.items()}
    command = [sys.executable, "-m", "aggregator", "doctor", "--max-deviation", "0.04"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert [line[:6] for line in lines] == ["ok    "] * 10
    assert lines[1].split()[1] == "symbols"


# This machine


def test_wrong_settings(sound: dict[str, object]) -> None:
    """Every mistake is a line, exit code 2, and nothing else is looked at."""
    report = Report(ran(**sound | {"hot_interval": "soon", "cache_url": "redis://:hush@:x", "pinnd": "a"}))
    assert report.code == 2
    assert report.amiss() == {"settings": "fail"}
    assert len(report.checks) == 3
    assert "hush" not in report.text


def test_open_without_keys(sound: dict[str, object]) -> None:
    """Open to others without a key is a warning, exit code 1; with one it is not, and the key is not shown."""
    report = Report(ran(**sound, host="0.0.0.0"))  # noqa: S104  # for as long as the look takes
    assert (report.code, report.amiss()) == (1, {"settings": "warn"})
    assert "AGGREGATOR_API_KEYS" in report.of("settings")[1]
    report = Report(ran(**sound, host="0.0.0.0", api_keys="hush-hush"))  # noqa: S104  # likewise
    assert report.code == 0
    assert "hush" not in report.text


def test_all_exchanges_needed(sound: dict[str, object]) -> None:
    """A price that takes every exchange is none as soon as one is away."""
    assert Report(ran(**sound, min_sources=3)).amiss() == {"settings": "warn"}


def test_symbols_missing(sound: dict[str, object], tmp_path: Path) -> None:
    """A symbols file that is not there; the exchanges are asked all the same."""
    report = Report(ran(**sound | {"symbols_file": tmp_path / "none.csv"}))
    assert (report.code, report.amiss()) == (2, {"symbols": "fail"})
    assert "--symbols-file" in report.of("symbols")[1]


def test_a_check_that_hangs_is_given_up(sound: dict[str, object], tmp_path: Path) -> None:
    """A file that never ends being opened holds up neither the other checks nor the end."""
    pipe = tmp_path / "symbols.csv"
    os.mkfifo(pipe)
    report = Report(ran(**sound | {"symbols_file": pipe}))
    assert (report.code, report.amiss()) == (2, {"symbols": "fail"})
    assert "no answer within 4 s" in report.of("symbols")[1]


def test_port_taken(sound: dict[str, object]) -> None:
    """By somebody else."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        report = Report(ran(**sound | {"port": other.getsockname()[1]}))
    assert (report.code, report.amiss()) == (2, {"port": "fail"})
    assert "--port" in report.of("port")[1]


def test_port_taken_by_the_service(sound: dict[str, object], tmp_path: Path) -> None:
    """Beside a running service, its port is as it should be."""
    service = Service(tmp_path, **sound).started()
    report = Report(ran(**sound | {"port": service.url.rpartition(":")[2]}))
    service.process.stop()
    assert report.amiss() == {}, report.text


def test_few_open_files(sound: dict[str, object]) -> None:
    """A limit below what the connections take is a warning that says which to set."""
    report = Report(ran("sh", "-c", 'ulimit -n 512 && exec "$@"', "sh", **sound))
    assert (report.code, report.amiss()) == (1, {"files": "warn"})
    assert "ulimit -n 13334" in report.of("files")[1]


@pytest.mark.parametrize(
    ("ahead", "level"), [([], "warn"), ([0.2, -0.1, 0.1], "ok"), ([2.0, 2.1], "warn"), ([-7.0, -7.1, 0.0], "fail")]
)
async def test_clock(ahead: list[float], level: str) -> None:
    """A clock that goes wrong is seen against the others', of whom one may be wrong itself."""
    (found,) = await clock_check(Seen(ahead=ahead))
    assert found.level is Level(level)


# Redis


def test_redis_away(sound: dict[str, object]) -> None:
    """The same words as at the start of the service."""
    report = Report(ran(**sound, cache_url=f"redis://:hush@127.0.0.1:{free_port()}/0"))
    assert (report.code, report.amiss()) == (2, {"redis": "fail"})
    assert "start Redis there" in report.of("redis")[1]
    assert "hush" not in report.text


def test_redis_hangs(sound: dict[str, object], own_redis: RedisServer) -> None:
    """Given up in the service's own time."""
    own_redis.process.signal(SIGSTOP)
    try:
        report = Report(ran(**sound, cache_url=own_redis.url))
    finally:
        own_redis.process.signal(SIGCONT)
    assert report.amiss() == {"redis": "fail"}


@pytest.mark.parametrize(
    ("rights", "refused"),
    [
        ("-xadd", "share work"),
        ("-xautoclaim", "share work"),
        ("-evalsha", "keep prices"),
        ("-subscribe", "hear of prices"),
        ("-zadd -zincrby", "rank by popularity"),
        ("resetchannels", "hear of prices"),
        ("resetkeys ~other:*", "keep prices"),
    ],
)
async def test_redis_without_a_right(
    sound: dict[str, object], own_redis: RedisServer, rights: str, refused: str
) -> None:
    """Whatever we do there and may not is named, and with it what to allow; the password is not."""
    await told(own_redis, "ACL", "SETUSER", "one", "reset", "on", ">hush", *ENOUGH.split(), *rights.split())
    report = Report(ran(**sound, cache_url=f"redis://one:hush@127.0.0.1:{own_redis.port}/0"))
    assert (report.code, report.amiss()) == (2, {"redis": "fail"}), report.text
    level, says = report.of("redis")
    assert refused in says
    assert ENOUGH in says
    assert "hush" not in report.text
    assert level == "fail"


async def test_redis_with_enough_rights(sound: dict[str, object], own_redis: RedisServer) -> None:
    """What the doctor says to allow is enough, for itself and for the service."""
    await told(own_redis, "ACL", "SETUSER", "one", "reset", "on", ">hush", *ENOUGH.split())
    assert Report(ran(**sound, cache_url=f"redis://one:hush@127.0.0.1:{own_redis.port}/0")).code == 0


async def test_redis_that_drops_what_matters(sound: dict[str, object], own_redis: RedisServer) -> None:
    """A bound with a policy that refuses prices, or drops jobs, is a warning; one that drops what expires is none."""
    found = []
    for policy in ("noeviction", "allkeys-lru", "volatile-ttl"):
        await told(own_redis, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", policy)
        found.append(Report(ran(**sound, cache_url=own_redis.url)).amiss())
    await told(own_redis, "CONFIG", "SET", "maxmemory", "0")
    assert found == [{"redis": "warn"}, {"redis": "warn"}, {}]


async def test_redis_that_takes_nothing(sound: dict[str, object], own_redis: RedisServer) -> None:
    """A replica is told by its name, and by what it refuses."""
    await told(own_redis, "REPLICAOF", "127.0.0.1", str(free_port()))
    report = Report(ran(**sound, cache_url=own_redis.url))
    await told(own_redis, "REPLICAOF", "NO", "ONE")
    assert report.code == 2
    assert "is a replica" in report.text


# The history


def test_table_missing(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """One that is not there yet is not made, and a warning, as the service makes it."""
    missing = dynamodb_running.url(f"none-{uuid.uuid4()}")
    for _ in range(2):
        report = Report(ran(**on_dynamodb | {"history_url": missing}))
        assert (report.code, report.amiss()) == (1, {"dynamodb": "warn"})
        assert "dynamodb:CreateTable" in report.of("dynamodb")[1]


def test_dynamodb_away(on_dynamodb: dict[str, object]) -> None:
    """Nobody at the endpoint."""
    url = f"dynamodb://prices?region=us-east-1&endpoint=http://127.0.0.1:{free_port()}"
    assert Report(ran(**on_dynamodb | {"history_url": url})).amiss() == {"dynamodb": "fail"}


@pytest.mark.parametrize("operation", ["DescribeTable", "Query", "BatchWriteItem", "DescribeTimeToLive"])
def test_dynamodb_without_a_right(
    on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, table: str, operation: str
) -> None:
    """The action that is not allowed is named."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    proxy.faults(deny=operation)
    report = Report(ran(**on_dynamodb | {"history_url": proxy.url(table)}, retention_days=1))
    proxy.stop()
    assert (report.code, report.amiss()) == (2, {"dynamodb": "fail"})
    assert f"dynamodb:{operation}" in report.of("dynamodb")[1]


def test_who_only_answers_needs_less(
    on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, redis_running: RedisServer, table: str
) -> None:
    """An API process writes no history and asks no exchange, so neither is looked at."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    proxy.faults(deny="BatchWriteItem")
    settings = on_dynamodb | {"history_url": proxy.url(table), "role": "api", "cache_url": redis_running.url}
    report = Report(ran(**settings | {"exchanges": f"gone=mock+http://127.0.0.1:{free_port()}"}))
    proxy.stop()
    assert report.amiss() == {}, report.text


async def test_table_of_somebody_else(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """Other keys than ours, or items that expire by another attribute."""
    name = f"others-{uuid.uuid4()}"
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        await dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    report = Report(ran(**on_dynamodb | {"history_url": dynamodb_running.url(name)}))
    assert (report.code, report.amiss()) == (2, {"dynamodb": "fail"})
    assert "other keys" in report.of("dynamodb")[1]


async def test_expiry(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, table: str) -> None:
    """With a retention: TTL off is a warning, by another attribute a failure, by ours all is well."""
    found = [Report(ran(**on_dynamodb, retention_days=1)).amiss()]
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        for attribute in ("ttl", "expires_at"):
            for enabled in (True, False) if attribute == "ttl" else (True,):
                await dynamodb.update_time_to_live(
                    TableName=table, TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute}
                )
                if enabled:
                    found.append(Report(ran(**on_dynamodb, retention_days=1)).amiss())
    assert found == [{"dynamodb": "warn"}, {"dynamodb": "fail"}, {}]


def test_outbox_in_no_folder(on_dynamodb: dict[str, object], tmp_path: Path) -> None:
    """A path that cannot hold a file, named as the settings have it."""
    path = tmp_path / "none" / "outbox.db"
    report = Report(ran(**on_dynamodb | {"outbox_path": path}))
    assert (report.code, report.amiss()) == (2, {"outbox": "fail"})
    assert f" {path}: " in report.of("outbox")[1]
    assert "AGGREGATOR_OUTBOX_PATH" in report.of("outbox")[1]


def test_outbox_larger_than_the_disk(on_dynamodb: dict[str, object]) -> None:
    """A bound that the disk cannot hold is a warning."""
    report = Report(ran(**on_dynamodb | {"outbox_max_bytes": 1 << 50}))
    assert (report.code, report.amiss()) == (1, {"outbox": "warn"})
    assert "AGGREGATOR_OUTBOX_MAX_BYTES" in report.of("outbox")[1]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")  # noqa: S108  # the one memory disk
def test_outbox_in_memory(on_dynamodb: dict[str, object]) -> None:
    """A disk that forgets is no place for what has to outlive the process."""
    path = Path(f"/dev/shm/{uuid.uuid4()}.db")  # noqa: S108  # likewise
    report = Report(ran(**on_dynamodb | {"outbox_path": path}))
    assert "tmpfs" in report.of("outbox")[1]
    assert not path.exists()


async def test_dead_letters(on_dynamodb: dict[str, object], tmp_path: Path) -> None:
    """What DynamoDB has refused for good is told, and how to look at it."""
    file = OutboxFile(tmp_path / "outbox.db", 1 << 30)
    await file.open()
    await file.append([price(timestamp=NOW)])
    await file.bury((await file.after(0, 1))[0], "no", NOW)
    await file.close()
    report = Report(ran(**on_dynamodb))
    assert report.amiss() == {"outbox": "warn"}
    assert "aggregator dead-letters list" in report.of("outbox")[1]


def test_history_that_is_none(sound: dict[str, object], tmp_path: Path) -> None:
    """A file that is no database."""
    (tmp_path / "prices.db").write_text("no database, but long enough to be looked at" * 50)
    assert Report(ran(**sound)).amiss() == {"history": "fail"}


# The exchanges


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"error_rate": 1}, "http_error HTTP 500"),
        ({"hang_rate": 1}, "timeout"),
        ({"garbage_rate": 1}, "undecodable"),
        ({"drop_rate": 1}, "unreachable"),
        ({"rate_limit": 0}, "rate_limited"),
    ],
)
def test_an_exchange_that_fails(sound: dict[str, object], market: Market, faults: dict[str, object], says: str) -> None:
    """It alone is named, with why."""
    market.exchanges["exchange2"].faults(**faults)
    report = Report(ran(**sound, exchange_timeout=1))
    assert (report.code, report.amiss()) == (2, {"exchange exchange2": "fail"})
    assert says in report.of("exchange exchange2")[1]


def test_an_exchange_that_is_away(sound: dict[str, object]) -> None:
    """Nobody at its address, in which a password is not shown."""
    away = f"away=mock+http://user:hush@127.0.0.1:{free_port()}"
    report = Report(ran(**sound | {"exchanges": f"{sound['exchanges']},{away}"}))
    assert report.amiss() == {"exchange away": "fail"}
    assert "hush" not in report.text


def test_a_symbol_it_does_not_list(sound: dict[str, object], tmp_path: Path) -> None:
    """No fault of the exchange: a warning."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol\nnosuchcoin\n")
    report = Report(ran(**sound | {"symbols_file": symbols}))
    assert report.code == 1
    assert report.amiss() == dict.fromkeys([f"exchange exchange{number}" for number in (1, 2, 3)], "warn") | {
        "clock": "warn"
    }


# Of the exchanges' own dialects


@pytest.fixture
def real_ones(sound: dict[str, object], tmp_path: Path) -> Iterator[tuple[BinanceFeed, KrakenFeed, dict[str, object]]]:
    """Run a Binance that trades ethusdt only and pushes, and a Kraken, which tells no time; nothing else is asked."""
    binance, kraken = BinanceFeed(), KrakenFeed()
    binance.rest.quotes = {"ethusdt": Quote("eth", "usdt", "3321.07", "10")}
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n")
    with beside(binance, kraken):
        exchanges = f"binance=binance+{binance.url}/polled+{binance.push_url},kraken=kraken+{kraken.url}/polled"
        yield binance, kraken, sound | {"symbols_file": symbols, "exchanges": exchanges}


def test_real_exchanges_are_well(real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]]) -> None:
    """Each is asked for what it lists, its feed listened to."""
    report = Report(ran(**real_ones[2]))
    assert report.amiss() == {}, report.text
    assert report.of("exchange binance")[1].startswith("ethusdt is 3321.07")
    assert report.of("exchange kraken")[1].startswith("btcusdt is")
    assert report.of("feed binance")[1].startswith("pushes")
    assert [one["check"] for one in report.checks][-4:] == [
        *("exchange binance", "feed binance", "exchange kraken", "clock")
    ]


def test_a_time_of_receipt_says_nothing_of_our_clock(
    real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]],
) -> None:
    """It is our own."""
    settings = real_ones[2]
    alone = str(settings["exchanges"]).partition(",")[2]
    assert Report(ran(**settings | {"exchanges": alone})).amiss() == {"clock": "warn"}


def test_a_feed_that_is_mute(real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]]) -> None:
    """A warning, as it is polled instead."""
    binance, _, settings = real_ones
    binance.mute = True
    report = Report(ran(**settings))
    assert (report.code, report.amiss()) == (1, {"feed binance": "warn"})
    assert "no young ticker" in report.of("feed binance")[1]


def test_a_listing_that_cannot_be_read(real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]]) -> None:
    """A warning of its own, with why, where the exchange answers all the same."""
    _, kraken, settings = real_ones
    closed = kraken.rest.maintenance
    kraken.rest.fault = lambda request: closed(request) if "AssetPairs" in request.path else None
    report = Report(ran(**settings))
    assert (report.code, report.amiss()) == (1, {"listing kraken": "warn"})
    assert "maintenance" in report.of("listing kraken")[1]
