"""A thousand subscribers of /stream on one process: completeness, delay, and CPU cost per subscriber."""

import statistics
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tests.bench.report import Figure
from tests.bench.scene import Scene, metrics_of, scene
from tests.bench.stream_subscribers import Seen, Subscribers
from tests.parts.dynamodb import DynamoServer
from tests.parts.process import wait_for
from tests.parts.service import Service

READERS = 1000
STOPPED = 10
SECONDS = 20.0
INTERVAL = 5.0  # interval of a hot asset, in seconds
_MEMORY = "process_resident_memory_bytes"


class Round:
    """The results of one group of subscribers."""

    def __init__(self, service: Service, parts: Scene, readers: int, stopped: int, seconds: float) -> None:
        memory = metrics_of(service)[_MEMORY]
        subscribers = Subscribers(service.url, readers, stopped, parts.folder / "seen")
        parts.closing(subscribers.end)
        subscribers.reading()
        begin, cpu = time.time(), metrics_of(service)["process_cpu_seconds_total"]
        time.sleep(seconds)
        metrics = metrics_of(service)
        end = time.time()
        self.bytes_each = (metrics[_MEMORY] - memory) / readers
        self.cores = (metrics["process_cpu_seconds_total"] - cpu) / (end - begin)
        seen = subscribers.stop()
        updated = _updated_at(service, begin, end - INTERVAL / 2)
        self.prices = len(updated)
        self.lost = sum(len(updated.keys() - {(one.asset, one.timestamp) for one in each}) for each in seen)
        self.delays = _delays(seen, updated)


def run(
    readers: int = READERS, stopped: int = STOPPED, seconds: float = SECONDS, dynamodb: DynamoServer | None = None
) -> list[Figure]:
    """Measure twice: first with all clients reading, then with some that have stopped reading."""
    with scene(dynamodb) as parts:
        service = parts.service(parts.market(), parts.redis())
        Round(service, parts, 10, 0, 1)  # warm-up
        alone = Round(service, parts, readers, 0, seconds)
        among = Round(service, parts, readers, stopped, seconds)
    return [
        Figure(f"prices to each of {readers} readers", alone.prices + among.prices),
        Figure("  prices that did not reach one of them", alone.lost + among.lost, "", "<= 0"),
        Figure("from refresh to reader, p50", statistics.median(alone.delays), "ms"),
        Figure("  p99", _p99(alone.delays), "ms", "<= 250"),
        Figure(f"  p99 with {stopped} more who have stopped reading", _p99(among.delays), "ms", "<= 250"),
        Figure("memory of a reader", alone.bytes_each / 1024, "KiB", "<= 100"),
        Figure("the process meanwhile", alone.cores, "cores"),
    ]


def _updated_at(service: Service, begin: float, end: float) -> dict[tuple[str, float], float]:
    """Return when each hot price of that time was made, by asset and exchange time."""
    found = {}
    for asset in (one["symbol"] for one in service.get("/assets").json["assets"] if one["tier"] == "hot"):
        for row in _history(service, asset):
            if begin <= row["updated_at"] <= end:
                found[asset, float(row["timestamp"])] = float(row["updated_at"])
    return found


def _delays(seen: list[list[Seen]], updated: dict[tuple[str, float], float]) -> list[float]:
    return [
        1000 * (one.received - made)
        for each in seen
        for one in each
        if (made := updated.get((one.asset, one.timestamp))) is not None
    ]


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _history(service: Service, asset: str) -> list[Mapping[str, Any]]:
    """Return the stored prices of an asset; on a loaded machine the first reads may be 503."""
    found: list[Mapping[str, Any]] = []

    def read() -> bool:
        answer = service.get(f"/prices/{asset}/history?limit=1000")
        found[:] = answer.json["prices"] if answer.status == HTTPStatus.OK else []
        return answer.status == HTTPStatus.OK

    wait_for(read, what=f"the history of {asset}")
    return found
