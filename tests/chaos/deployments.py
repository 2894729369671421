"""The three ways to run the service: one process, workers behind one port, and roles on several machines."""

import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from aggregator.models import decode_price
from tests.chaos.members import UP_SECONDS, Member
from tests.chaos.parts import DurableDynamo, Key, scan
from tests.chaos.recorder import Record
from tests.parts.exchanges import Market, MockExchange
from tests.parts.ports import lasting_port
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer

DRAIN_SECONDS = 90.0  # time limit for the outboxes to become empty once the load has ended, in seconds
WORKERS = 3


@dataclass(slots=True)
class Deployment:
    """The processes of the service, and the parts that they use."""

    name: str
    folder: Path
    market: Market
    dynamodb: DurableDynamo | None
    table: str
    symbols: Path
    record: Record
    settings: dict[str, object]
    redis: RedisServer = field(init=False)
    members: list[Member] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.redis = RedisServer(lasting_port())
        for name, settings in _shapes(self.name):
            self.members.append(self._member(name, settings))

    def start(self) -> None:
        """Start all members, and wait until they serve every price."""
        threads = [threading.Thread(target=member.start) for member in self.members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(UP_SECONDS + 1)
        self.wait_until_well(0.0)

    def wait_until_well(self, moment: float, seconds: float = UP_SECONDS) -> None:
        """Wait until every API process is ready and serves all hot prices, each newer than `moment`."""
        wait_for(lambda: all(_is_well(member, moment) for member in self.members if member.answers), seconds, self.name)

    @property
    def answering(self) -> list[Member]:
        """The members that serve prices."""
        return [member for member in self.members if member.answers]

    @property
    def files(self) -> list[Path]:
        """The SQLite files: the history file, or the outbox of each member that writes."""
        if self.dynamodb is None:
            return [self.folder / "prices.db"]
        return [member.folder / "outbox.db" for member in self.members if member.name.rpartition("-")[0] != "api"]

    def restart_redis(self) -> None:
        """Start an empty Redis on the same port."""
        self.redis = RedisServer(self.redis.port)

    def restart_exchange(self, name: str) -> None:
        """Start an exchange on the same port."""
        port = int(self.market.exchanges[name].url.rpartition(":")[2])
        self.market.exchanges[name] = MockExchange(name, port, self.symbols)

    def history(self) -> dict[Key, Decimal]:
        """Return all prices in history, after ending the load, draining the outboxes and stopping the members."""
        for exchange in self.market.exchanges.values():
            exchange.faults(error_rate=1)
        if self.dynamodb is not None:
            wait_for(lambda: all(_rows(path) == 0 for path in self.files), DRAIN_SECONDS, "the outboxes to drain")
        for member in self.members:
            member.close()
        if self.dynamodb is not None:
            return dict(scan(self.dynamodb.endpoint, self.table))
        with closing(sqlite3.connect(self.folder / "prices.db")) as file:
            prices = [decode_price(body) for (body,) in file.execute("SELECT body FROM prices")]
        return {(price.asset, price.timestamp): price.price for price in prices}

    def tracebacks(self) -> list[str]:
        """Return the outputs that contain a traceback, each from shortly before it."""
        outputs = [(member.name, run.process.output) for member in self.members for run in member.runs]
        return [
            f"{name}: {text[max(0, text.index('Traceback') - 500) :][:4000]}"
            for name, text in outputs
            if "Traceback" in text
        ]

    def close(self) -> None:
        """Stop all members and Redis."""
        for member in self.members:
            member.close()
        self.redis.stop()

    def _member(self, name: str, settings: dict[str, object]) -> Member:
        folder = self.folder / name
        url = f"sqlite:///{self.folder}/prices.db" if self.dynamodb is None else self.dynamodb.url(self.table)
        shared = {"cache_url": self.redis.url, "history_url": url, "exchanges": self.market.setting}
        return Member(name, self.record, folder, {"symbols_file": self.symbols, **shared, **self.settings, **settings})


def _shapes(name: str) -> list[tuple[str, dict[str, object]]]:
    if name == "one":
        return [("one", {})]
    if name == "workers":
        return [("workers", {"workers": WORKERS})]
    roles = [("refresher-1", "refresher"), ("refresher-2", "refresher"), ("api-1", "api"), ("api-2", "api")]
    return [(member, {"role": role}) for member, role in roles]


def _is_well(member: Member, moment: float) -> bool:
    with suppress(OSError):
        if not member.url:
            return False
        body = member.service.get("/prices?tier=hot").json
        fresh = not body["missing"] and all(one["timestamp"] > moment for one in body["prices"])
        return fresh and member.service.get("/ready").status == 200
    return False


def _rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        tables = [f"waiting_{tier}" for tier in ("hot", "medium", "cold")]
        return sum(int(file.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables)  # noqa: S608  # the table names are constants
