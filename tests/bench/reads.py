"""How fast prices are read, against bare uvicorn and against a plain route with one Redis GET, in the same run.

One process runs with the fast path and one without, so that each run shows what the fast path gains. The fast path is
worth its dependence on uvicorn's internals only while reads without it stay below 0.9 of bare uvicorn, its bound here.
"""

import statistics

from tests.bench.report import Figure, median_ratio
from tests.bench.scene import Peak, Scene, scene, wrk
from tests.parts.dynamodb import DynamoServer
from tests.parts.process import ROOT

ROUNDS = 7
SECONDS = 4.0
LIST = 200


def run(rounds: int = ROUNDS, seconds: float = SECONDS, dynamodb: DynamoServer | None = None) -> list[Figure]:
    """Measure, the contenders taking turns within each round."""
    with scene(dynamodb) as parts:
        targets = _targets(parts)
        for url in targets.values():
            wrk(url, 1)  # warm
        peaks: dict[str, list[Peak]] = {name: [] for name in targets}
        for number in range(rounds):
            names = list(targets) if number % 2 else list(reversed(targets))
            for name in names:
                peaks[name].append(wrk(targets[name], seconds))
    return _figures(peaks)


def _targets(parts: Scene) -> dict[str, str]:
    market = parts.market()
    one_redis, slow_redis, two_redis = parts.redis(), parts.redis(), parts.redis()  # pub/sub knows no database numbers
    one = parts.service(market, one_redis)
    slow = parts.service(market, slow_redis, fast_path="false")
    two = parts.service(market, two_redis, workers=2)
    symbols = [line.partition(",")[0] for line in (ROOT / "symbols.csv").read_text().splitlines()[1 : LIST + 1]]
    return {
        "bare": parts.reference("bare") + "/prices/btcusdt",
        "one": f"{one.url}/prices/btcusdt",
        "slow": f"{slow.url}/prices/btcusdt",
        "two": f"{two.url}/prices/btcusdt",
        "redis": parts.reference("redis_get", BENCH_REDIS=one_redis.url) + "/prices/btcusdt",
        "list": f"{one.url}/prices?assets={','.join(symbols)}",
    }


def _figures(peaks: dict[str, list[Peak]]) -> list[Figure]:
    rates = {name: [peak.rate for peak in found] for name, found in peaks.items()}
    p99s = {name: [peak.p99_ms for peak in found] for name, found in peaks.items()}
    errors = sum(peak.errors for found in peaks.values() for peak in found)
    return [
        Figure("bare uvicorn, constant bytes", statistics.median(rates["bare"]), "requests/s"),
        Figure("GET /prices/{asset}, one process", statistics.median(rates["one"]), "requests/s"),
        Figure("  against bare uvicorn", median_ratio(rates["one"], rates["bare"]), "", ">= 0.80"),
        Figure("  p99", statistics.median(p99s["one"]), "ms"),
        Figure("  p99 against bare uvicorn's", median_ratio(p99s["one"], p99s["bare"]), "", "<= 2"),
        Figure("one process, fast path off", statistics.median(rates["slow"]), "requests/s"),
        Figure("  against bare uvicorn, fast path off", median_ratio(rates["slow"], rates["bare"]), "", "<= 0.90"),
        Figure("  with the fast path, against it", median_ratio(rates["one"], rates["slow"])),
        Figure("two workers and a refresher", statistics.median(rates["two"]), "requests/s"),
        Figure("  against one process", median_ratio(rates["two"], rates["one"]), "", ">= 1.2"),
        Figure("a Starlette route with one Redis GET", statistics.median(rates["redis"]), "requests/s"),
        Figure("  one process of ours against it", median_ratio(rates["one"], rates["redis"]), "", ">= 3"),
        Figure(f"GET of {LIST} assets in one call", LIST * statistics.median(rates["list"]), "prices/s", ">= 300000"),
        Figure("answers that were none", errors, "", "<= 0"),
    ]
