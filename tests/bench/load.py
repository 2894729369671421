"""The load of the previous system (its three groups at once, with locust), on our service and on bare uvicorn."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench.report import Figure, median_ratio
from tests.bench.scene import metrics_of, scene
from tests.parts.process import ROOT

ROUNDS = 5
_LONGEST = 120.0


def run(rounds: int = ROUNDS) -> list[Figure]:
    """Measure both, alternating."""
    with scene() as parts:
        service = parts.service(parts.market(), parts.redis())
        bare = parts.reference("assets", BENCH_ASSETS=service.get("/assets").text)
        ours: list[dict[str, float]] = []
        theirs: list[dict[str, float]] = []
        before = metrics_of(service)
        for number in range(rounds):
            for url, found in (
                ((service.url, ours), (bare, theirs)) if number % 2 else ((bare, theirs), (service.url, ours))
            ):
                found.append(_locust(url, parts.folder / "figures.json"))
        after = metrics_of(service)
    hits, misses = (
        after[f"price_cache_{kind}_total"] - before[f"price_cache_{kind}_total"] for kind in ("hits", "misses")
    )
    p99s = [one["p99_ms"] for one in ours]
    return [
        Figure("requests in a round", ours[0]["requests"]),
        Figure("p99", statistics.median(p99s), "ms", "<= 100"),
        Figure("bare uvicorn's p99", statistics.median(one["p99_ms"] for one in theirs), "ms"),
        Figure("  p99 against bare uvicorn's", median_ratio(p99s, [one["p99_ms"] for one in theirs]), "", "<= 1.5"),
        Figure("errors", sum(one["failures"] for one in ours), "", "<= 0"),
        Figure("cache hits", hits / (hits + misses), "of all", ">= 0.99"),
    ]


def _locust(url: str, path: Path) -> dict[str, float]:
    """Run the three groups; return the figures of all requests. Thresholds are not judged here."""
    lenient = ["--p95-ms", "60000", "--p99-ms", "60000", "--max-errors", "100", "--min-hits", "0"]
    command = [sys.executable, "-m", "locust", "-f", "tests/load/locustfile.py", "--headless", "-H", url]
    command += ["--no-check-bodies", "--figures", str(path), "--loglevel", "ERROR", "--only-summary", *lenient]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=_LONGEST)
    figures: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["total"]
    return figures
