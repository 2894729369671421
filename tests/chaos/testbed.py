"""The testbed of the price scenarios: the service under constant load, and its parts, for scenarios to break."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGKILL
from urllib.parse import urlsplit

from aggregator.prices.tiers import Cadence
from mock_exchange.symbols import open_market
from tests.chaos.load_generator import LoadGenerator
from tests.chaos.parts import DurableDynamo
from tests.chaos.truth import Truth, Verdict, judge
from tests.parts.exchanges import NAMES, Market, MockExchange
from tests.parts.limits import FULL, STRICT, allowed
from tests.parts.process import ROOT, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

HOT, MEDIUM, COLD = (1, 3, 10) if FULL else (1, 8, 24)  # refresh intervals, in seconds
INTERVALS = {"hot_interval": HOT, "medium_interval": MEDIUM, "cold_interval": COLD}
TIMEOUT = 2.0  # the timeout of a call to an exchange, in seconds; the default
RATE = 320.0 if FULL else 80.0  # requests per second
READERS = 64  # clients; they reach that rate even when an answer takes 0.2 s
PATIENCE = allowed(10.0)  # extra seconds for a fault to show
HEALTHY_SECONDS = 120.0  # time limit for the service to be healthy again after the previous scenario, in seconds

Report = Callable[[str], None]


class Scenario:
    """What a scenario reports to the harness while the load runs."""

    def __init__(self) -> None:
        self.recovered = 0.0
        self.within = 0.0

    def lasts(self, seconds: float, takes: Callable[[], bool]) -> None:
        """Keep the fault for `seconds`, and until `takes` shows that it has had its effect."""
        end = time.monotonic() + seconds
        wait_for(takes, seconds + PATIENCE, "the fault to show")
        time.sleep(max(0.0, end - time.monotonic()))

    def recovers(self, condition: Callable[[], bool], within: float) -> None:
        """Measure the time until `condition` holds after the fault; fail when it takes longer than `within`."""
        began = time.monotonic()
        wait_for(condition, within, "recovery")
        self.recovered = time.monotonic() - began
        self.within = within


@dataclass(slots=True)
class PriceTestbed:
    """The service and the parts it uses; `market` are its own exchanges, which scenarios may kill."""

    folder: Path
    market: Market
    redis: RedisServer
    dynamodb: DurableDynamo
    report: Report = print
    truth: Truth = field(init=False)
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        cadence = {"hot": Cadence(HOT), "medium": Cadence(MEDIUM), "cold": Cadence(COLD)}
        self.truth = Truth(open_market(0, ROOT / "symbols.csv"), NAMES, cadence)
        self.service = Service(
            self.folder,
            exchanges=self.market.setting,
            cache_url=self.redis.url,
            history_url=self.dynamodb.url(f"prices-{uuid.uuid4()}"),
            **INTERVALS,
        ).filled()

    @contextmanager
    def watched(
        self, name: str, *, together: float = TIMEOUT, may_refuse: bool = False, times: float = 1
    ) -> Iterator[Scenario]:
        """Run the load, `times` the usual rate, while the block runs; then judge every answer and print the figures.

        On a machine that others keep busy, a price can be older than six intervals of one second, and a refusal is then
        right. With STRICT=1, only scenarios that say so may refuse. `together`: seconds within which all tickers of one
        price were made.
        """
        wait_for(self.is_healthy, HEALTHY_SECONDS, f"all to be well before: {name}")
        to = self.folder / f"{uuid.uuid4()}.answers"
        paths = self._paths()
        readers = LoadGenerator(self.service.url, paths, to, RATE * times, round(READERS * max(1, times / 2)))
        scenario = Scenario()
        try:
            yield scenario
        finally:
            verdict = judge(readers.stop(), self.truth, together, may_refuse=may_refuse or not STRICT)
            to.unlink()
            self.report(f"{name}: {verdict}; recovered in {scenario.recovered:.2f} s (at most {scenario.within:g})")
            _check(verdict)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the service."""
        where = urlsplit(self.service.url)
        return where.hostname or "", where.port or 0

    def hot_sources(self) -> set[int]:
        """Return the source counts of the hot prices; 0 stands for a stale or missing price."""
        body = self.service.get("/prices?tier=hot").json
        return {0 if price["stale"] else price["sources"] for price in body["prices"]} | {0 for _ in body["missing"]}

    def is_healthy(self) -> bool:
        """Return whether every exchange contributes to every hot price and /ready reports no reasons."""
        return self.hot_sources() == {len(NAMES)} and self.reasons() == []

    def healthy_since(self, moment: float) -> Callable[[], bool]:
        """Return a condition: the service is healthy, and all hot prices are newer than `moment`."""

        def sound() -> bool:
            prices = self.service.get("/prices?tier=hot").json["prices"]
            return all(price["timestamp"] > moment for price in prices) and self.is_healthy()

        return sound

    def reasons(self) -> list[str]:
        """Return the reasons of /ready."""
        reasons = self.service.get("/ready").json["reasons"]
        assert isinstance(reasons, list)
        return reasons

    def kill(self, name: str) -> None:
        """Kill an exchange with SIGKILL."""
        self.market.exchanges[name].process.stop(SIGKILL)

    def restart(self, name: str) -> None:
        """Start an exchange again on its port."""
        port = int(self.market.exchanges[name].url.rpartition(":")[2])
        self.market.exchanges[name] = MockExchange(name, port)

    def restart_redis(self) -> None:
        """Start an empty Redis on the same port."""
        self.redis = RedisServer(self.redis.port)

    def repair(self) -> None:
        """Restart and resume the parts that a failed scenario has left broken."""
        for name, exchange in list(self.market.exchanges.items()):
            if exchange.process.child.poll() is not None:
                self.restart(name)
        self.market.sound()
        self.service.process.signal(SIGCONT)
        for process, restart in (
            (self.redis.process, self.restart_redis),
            (self.dynamodb.process, self.dynamodb.start),
        ):
            if process.child.poll() is None:
                process.signal(SIGCONT)
            else:
                restart()

    def close(self) -> None:
        """Stop the service, its exchanges and Redis; check the service's exit code and output."""
        code = self.service.process.stop()
        for exchange in self.market.exchanges.values():
            exchange.stop()
        self.redis.stop()
        assert code == 0, self.service.process.output
        assert "Traceback" not in self.service.process.output, self.service.process.output

    def _paths(self) -> list[str]:
        """Return the paths to GET: all hot assets often, some others, their sources, and a list."""
        assets = [asset["symbol"] for asset in self.service.get("/assets").json["assets"]]
        hot, others = assets[:20], [*assets[20:200:9], *assets[200::40]]
        single = [f"/prices/{symbol}" for symbol in (*hot, *hot, *hot, *others)]
        return [*single, *(f"/prices/{symbol}/sources" for symbol in hot[:10]), "/prices?tier=hot"]


def _check(verdict: Verdict) -> None:
    assert verdict.requests > 0
    assert not verdict.broken, "\n".join(verdict.broken)
