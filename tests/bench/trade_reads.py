"""Single trades by POST, and reads beside a stream of trades, against bare uvicorn in the same run.

**Reads.** A process that takes trades has less CPU left for reads than one that does not, and bare uvicorn takes no
trades. So that both sides have the same competition for the CPU, the service takes the same stream of trades while
either of them answers wrk, and both servers share one CPU:

| CPU | service's turn                                   | bare uvicorn's turn                              |
| --- | ------------------------------------------------ | ------------------------------------------------ |
| 1   | the service: trades, and the answers to wrk      | the service: trades; uvicorn: the answers to wrk |
| 2   | wrk, the generator, the subscriber to `features` | wrk, the generator, the subscriber to `features` |

Without this, uvicorn would have a CPU for itself wherever one is free. Its rate without any trades is reported too.
"""

import os
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench.report import Figure, median_ratio
from tests.bench.scene import Peak, scene, wrk
from tests.bench.trade_generator import Load, Sent
from tests.bench.trade_scene import RATE, TradeService, pinned
from tests.parts.process import wait_for

_SCRIPT = Path(__file__).with_name("trade_posts.lua")
_PATHS = ("aggregations/btcusdt", "quotes/btcusdt")
_LEAD = 1.0  # seconds of trades before wrk begins, and after it ends


def posts(rounds: int, seconds: float) -> list[Figure]:
    """Measure single trades on 64 connections that are kept, the contenders taking turns."""
    with scene() as parts:
        trades = TradeService(parts)
        urls = {"ours": f"{trades.url}/ingest", "bare": f"{parts.reference('read_body')}/ingest"}
        for url in urls.values():
            wrk(url, 1, script=_SCRIPT)
        before = trades.ingested
        peaks: dict[str, list[Peak]] = {name: [] for name in urls}
        for number in range(rounds):
            for name in list(urls) if number % 2 else list(reversed(urls)):
                peaks[name].append(wrk(urls[name], seconds, script=_SCRIPT))
        stored = trades.ingested - before
    answered = sum(peak.rate for peak in peaks["ours"]) * max(1, round(seconds))
    return [
        Figure("bare uvicorn that reads the body", _rate(peaks["bare"]), "posts/s"),
        Figure("POST /ingest of one trade", _rate(peaks["ours"]), "posts/s"),
        Figure("  against bare uvicorn", _ratio(peaks["ours"], peaks["bare"]), "", ">= 0.6"),
        Figure("  p99", statistics.median(peak.p99_ms for peak in peaks["ours"]), "ms"),
        Figure("  stored, of those answered", stored / answered, "", ">= 0.99"),
        Figure("answers that were none", sum(peak.errors for some in peaks.values() for peak in some), "", "<= 0"),
    ]


def reads(rounds: int, seconds: float, rate: float = RATE) -> list[Figure]:
    """Measure reads beside `rate` trades/s; see the module."""
    server, clients = _cores()
    peaks: dict[str, list[Peak]] = {"alone": []}
    sent: list[Sent] = []
    with scene() as parts, pinned(clients):
        trades = TradeService(parts, server)
        with pinned(server):
            bare = parts.reference("bare")
        trades.generator(Load("calls", _LEAD, name="w")).done()
        urls = {
            f"{name} {path}": f"{url}/{path}" for path in _PATHS for name, url in (("ours", trades.url), ("bare", bare))
        }
        for number in range(rounds):
            peaks["alone"].append(wrk(f"{bare}/{_PATHS[0]}", seconds))
            for name in list(urls) if number % 2 else list(reversed(urls)):
                before = trades.ingested
                generator = trades.generator(Load("open", seconds + 2 * _LEAD, size=round(rate / 100), rate=rate))
                wait_for(partial(_has_ingested, trades, before), what="trades")
                peaks.setdefault(name, []).append(wrk(urls[name], seconds))
                sent.append(generator.done())
    return _figures(peaks, sent, rate)


def _has_ingested(trades: TradeService, before: float) -> bool:
    return trades.ingested > before


def _figures(peaks: Mapping[str, Sequence[Peak]], sent: Sequence[Sent], rate: float) -> list[Figure]:
    figures = [
        Figure(
            "trades/s beside the reads, acknowledged",
            statistics.median(one.acknowledged / one.seconds for one in sent),
            "trades/s",
        ),
        Figure("bare uvicorn without trades, on that CPU", _rate(peaks["alone"]), "requests/s"),
    ]
    for path in _PATHS:
        ours, bare = peaks[f"ours {path}"], peaks[f"bare {path}"]
        figures += [
            Figure(f"GET /{path} beside {rate:,.0f} trades/s", _rate(ours), "requests/s"),
            Figure("  bare uvicorn, the service taking the trades", _rate(bare), "requests/s"),
            Figure("  against it", _ratio(ours, bare), "", ">= 0.7"),
            Figure("  against bare uvicorn without trades", _ratio(ours, peaks["alone"])),
            Figure("  p99", statistics.median(peak.p99_ms for peak in ours), "ms"),
        ]
    errors = sum(peak.errors for some in peaks.values() for peak in some)
    refused = sum(one.refused for one in sent)
    return [
        *figures,
        Figure("answers that were none", errors, "", "<= 0"),
        Figure("calls that were refused", refused, "", "<= 0"),
    ]


def _cores() -> tuple[set[int], set[int]]:
    """Return the CPU of the servers, and those of all others; both are the same where there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def _rate(peaks: Sequence[Peak]) -> float:
    return statistics.median(peak.rate for peak in peaks)


def _ratio(ours: Sequence[Peak], theirs: Sequence[Peak]) -> float:
    return median_ratio([peak.rate for peak in ours], [peak.rate for peak in theirs])
