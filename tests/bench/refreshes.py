"""The CPU cost of a refreshed price with 1000 and with 100,000 assets, and whether every refresh is in time."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench.report import Figure
from tests.bench.scene import FILL_SECONDS, Scene, Usage, metrics_of, scene
from tests.parts.process import wait_for
from tests.parts.service import Service

SECONDS = 120.0
MANY = 100_000
MANY_SECONDS = 360.0
INTERVALS = {"hot": 5, "medium": 30, "cold": 300}


def thousand(seconds: float = SECONDS) -> list[Figure]:
    """Measure 1000 assets without requests: all hot, where prices are most of the cost, and by default settings."""
    busy, busy_memory = _idle(seconds / 2, last_tier="hot", hot_size=1000)
    one_by_one, _ = _idle(seconds / 2, last_tier="hot", hot_size=1000, exchange_batch=1)
    usual, memory = _idle(seconds)
    return [
        *_costs("all hot (every 5 s)", busy, "<= 450"),
        *_costs("all hot, one symbol a call", one_by_one, "<= 450"),
        *_costs("as it comes, fixed costs included", usual, ""),
        Figure("memory, Redis and DynamoDB", max(memory, busy_memory), "MiB", "<= 150"),
    ]


def _idle(seconds: float, last_tier: str = "cold", **settings: object) -> tuple[tuple[float, float, float], float]:
    """Return what the service used in that time, and its memory in MiB at the end."""
    with scene() as parts:
        service = parts.service(parts.market(), parts.redis(), last_tier, **settings)
        _settled(service)
        usage = Usage(service)
        time.sleep(seconds)
        return usage.since(), metrics_of(service)["process_resident_memory_bytes"] / 2**20


def _costs(what: str, used: tuple[float, float, float], bound: str) -> list[Figure]:
    elapsed, cpu, prices = used
    return [
        Figure(f"{what}: prices refreshed", prices / elapsed, "prices/s"),
        Figure("  CPU per price: fetch x3, aggregate, Redis, outbox, DynamoDB", 1e6 * cpu / prices, "us", bound),
        Figure("  CPU, whole process", cpu / elapsed, "cores"),
    ]


def _settled(service: Service) -> None:
    """Wait until the outbox has sent the warm-up's prices to DynamoDB; that load does not recur."""
    most = (
        3 * sum(value for name, value in metrics_of(service).items() if name.startswith("price_refresh_total{")) / 100
    )
    wait_for(lambda: service.metric("price_outbox_rows") < max(200.0, most), FILL_SECONDS, "the outbox to be sent")


def hundred_thousand(*, batched: bool, assets: int = MANY, seconds: float = MANY_SECONDS) -> list[Figure]:
    """Measure one process with 2 % hot, 18 % medium and 80 % cold assets, for more than one whole interval."""
    with scene() as parts:
        started = time.monotonic()
        service = _many(parts, assets, batch=1000 if batched else 1)
        filled = time.monotonic() - started
        _settled(service)
        usage, before = Usage(service), metrics_of(service)
        time.sleep(seconds)
        elapsed, cpu, prices = usage.since()
        after = metrics_of(service)
    gained = {name: value - before.get(name, 0.0) for name, value in after.items()}
    missed = sum(value for name, value in gained.items() if name.startswith("price_refresh_missed_total{"))
    errors = sum(value for name, value in gained.items() if name.startswith("price_refresh_errors_total{"))
    return [
        Figure("all assets filled after", filled, "s"),
        Figure("prices refreshed", prices / elapsed, "prices/s"),
        *(_age(gained, tier, interval) for tier, interval in INTERVALS.items()),
        Figure("refreshes missed", missed, "", "<= 0"),
        Figure("refreshes without a price", errors, "", "<= 0"),
        Figure("CPU, whole process", cpu / elapsed, "cores", "<= 0.35" if batched else "<= 0.8"),
        Figure("CPU per refreshed price", 1e6 * cpu / prices, "us"),
        Figure("memory", after["process_resident_memory_bytes"] / 2**20, "MiB", "<= 1024"),
        Figure("outbox rows at the end", after["price_outbox_rows"], "rows"),
    ]


def _many(parts: Scene, assets: int, batch: int) -> Service:
    symbols = parts.folder / "symbols.csv"
    _write_symbols(symbols, assets)
    return parts.service(
        parts.market(symbols),
        parts.redis(),
        symbols_file=symbols,
        hot_size=assets // 50,
        medium_size=assets * 18 // 100,
        exchange_batch=batch,
    )


def _write_symbols(path: Path, count: int) -> None:
    rows = (f"coin{number}usdt,coin{number},usdt" for number in range(count))
    path.write_text("symbol,base,quote\n" + "\n".join(rows) + "\n", encoding="utf-8")


def _age(gained: Mapping[str, float], tier: str, interval: int) -> Figure:
    """Return the share of prices replaced within one second past their interval; the goal is 0.99."""
    name = "price_age_at_replacement_seconds"
    within = next(
        value
        for series, value in gained.items()
        if (found := re.fullmatch(name + r"_bucket\{(.*)\}", series))
        and f'tier="{tier}"' in found[1]
        and f'le="{interval + 1}.0"' in found[1]
    )
    share = within / gained[f'{name}_count{{tier="{tier}"}}']
    return Figure(f"{tier}: replaced at an age of at most {interval + 1} s", share, "of all", ">= 0.99")
