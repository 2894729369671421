"""The gain from a second refresher, and the delay of prices when one of two is killed."""

import time
from pathlib import Path
from signal import SIGKILL

from tests.bench.report import Figure
from tests.bench.scene import Scene, Usage, scene
from tests.chaos.parts import Subscriber
from tests.parts.exchanges import Market
from tests.parts.process import ROOT, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

SECONDS = 30.0
LATENCY_MS = 400
# With one request at a time at this latency, a refresher with 64 slots makes 40 prices/s; 200 are due.
OVERLOAD = {"hot_size": 1000, "exchange_batch": 1, "exchange_concurrency": 64}
INTERVALS = {"hot_interval": 2, "medium_interval": 5, "cold_interval": 10}
WATCHED_SECONDS = 40.0


def run() -> list[Figure]:
    """Measure both."""
    with scene() as parts:
        market, redis = parts.market(), parts.redis()
        one, two = _throughput(parts, market, redis)
    with scene() as parts:
        latest = _after_a_kill(parts, parts.market(), parts.redis())
    return [
        Figure("one refresher, exchanges answering after 400 ms", one, "prices/s"),
        Figure("two of them", two, "prices/s"),
        Figure("  against one", two / one, "", ">= 1.8"),
        Figure("one of two killed: the latest asset, past two intervals", latest, "s", "<= 5"),
    ]


def _refresher(parts: Scene, market: Market, redis: RedisServer, **settings: object) -> Service:
    folder = parts.folder / f"refresher{time.monotonic_ns()}"
    folder.mkdir()
    stores = {"cache_url": redis.url, "history_url": f"sqlite:///{folder}/prices.db"}
    service = Service(folder, role="refresher", exchanges=market.setting, **stores, **settings)
    parts.closing(service.process.stop)
    return service.started()


def _throughput(parts: Scene, market: Market, redis: RedisServer) -> tuple[float, float]:
    """Return prices/s of one refresher and of two, under a load that one cannot carry."""
    rates = []
    running: list[Service] = []
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=LATENCY_MS)
    for _ in range(2):
        running.append(_refresher(parts, market, redis, **OVERLOAD))
        _wait_until_refreshing(running)
        usages = [Usage(service) for service in running]
        time.sleep(SECONDS)
        rates.append(sum(prices / seconds for seconds, _, prices in (usage.since() for usage in usages)))
    return rates[0], rates[1]


def _wait_until_refreshing(running: list[Service]) -> None:
    """Wait until all refreshers take jobs: the warm-up is over."""
    for service in running:
        wait_for(lambda service=service: service.metric('price_jobs_total{how="taken",tier="hot"}') > 10, 120)  # type: ignore[misc]  # a default argument has no type


def _after_a_kill(parts: Scene, market: Market, redis: RedisServer) -> float:
    """Kill one of two; return the largest delay of an asset's next price beyond two intervals, in seconds."""
    subscriber = Subscriber(redis.url)
    running = [_refresher(parts, market, redis, **INTERVALS) for _ in range(2)]
    for service in running:
        wait_for(lambda service=service: service.metric('price_jobs_total{how="taken",tier="cold"}') > 10, 120)  # type: ignore[misc]  # a default argument has no type
    running[0].process.stop(SIGKILL)
    killed = time.time()
    time.sleep(WATCHED_SECONDS)
    last: dict[str, float] = {}
    worst = float("-inf")
    interval = {"hot": 2.0, "medium": 5.0, "cold": 10.0}
    for one in subscriber.publications():
        before = last.get(one.price.asset)
        if before is not None and one.arrived > killed:
            worst = max(worst, one.arrived - before - 2 * interval[one.price.tier])
        last[one.price.asset] = one.arrived
    now = time.time()
    subscriber.close()
    silent = [now - seen for seen in last.values()]
    assert len(last) == _listed(), "some asset has never had a price"
    return max(worst, max(silent) - 2 * max(interval.values()))


def _listed(path: Path = ROOT / "symbols.csv") -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) - 1
