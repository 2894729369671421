"""What the service takes: trades a second, CPU a trade, latency, and memory with full windows."""

import statistics
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from tests.bench.report import Figure
from tests.bench.scene import metrics_of, scene
from tests.bench.trade_generator import Load, Mode, Sent, assets
from tests.bench.trade_scene import RATE, Events, TradeService, percentile
from tests.parts.process import wait_for

_WARM_UP = 2.0  # seconds
_SETTLE = 1.0  # seconds for the last events on /stream
_KEPT_UP = 0.99  # of the calls sent in time, for an open loop that counts
_MEMORY_SECONDS = 600  # by event time: two times the longest window
_MOST_SECONDS = 900  # for the trades of that time
_SAMPLE_SECONDS, _SAMPLES = 0.5, 5  # between samples of memory; their median is the memory of a moment


class Taken:
    """One generator that sends as fast as it can, and the burst of a second one."""

    def __init__(self, mode: Mode, seconds: float, burst: float) -> None:
        with scene() as parts:
            trades = TradeService(parts)
            trades.generator(Load("calls", min(_WARM_UP, seconds), name="w")).done()
            cpu, stages = trades.cpu, trades.stages()
            sent = trades.generator(Load(mode, seconds)).done()
            self.rate = sent.acknowledged / sent.seconds
            self.cpu_us = 1e6 * (trades.cpu - cpu) / sent.acknowledged
            self.stages_us = _each(stages, trades.stages(), sent.acknowledged)
            self.unacknowledged = sent.refused
            self._burst(trades, mode, burst)
            self.lost = self._lost(trades.stored(), sent)
            self.features = trades.features

    def _burst(self, trades: TradeService, mode: Mode, seconds: float) -> None:
        """Send at the measured rate, open loop, beside a generator that takes all of it already."""
        beside = trades.generator(Load(mode, seconds, name="b"))
        burst = trades.generator(Load("open", seconds, name="c", rate=self.rate))
        with Backlog(trades) as backlog:
            self._in_burst = {"b": beside.done(), "c": burst.done()}
        self.backlog = backlog.most
        self.burst_rate = sum(one.acknowledged / one.seconds for one in self._in_burst.values())
        self.burst_refused = sum(one.refused for one in self._in_burst.values())

    def _lost(self, stored: Mapping[str, int], sent: Sent) -> int:
        """Return how many acknowledged trades the store does not have."""
        lost = 0
        for name, one in {"a": sent, **self._in_burst}.items():
            if len(one.calls) == 1:  # a stream has one answer for all of its parts
                found = sum(number for call, number in stored.items() if call.startswith(name))
                lost += max(0, one.acknowledged - found)
            else:
                lost += sum(max(0, call.accepted - stored[f"{name}{call.number}"]) for call in one.calls)
        return lost


class Backlog:
    """Reads the largest backlog while it is open."""

    def __init__(self, trades: TradeService) -> None:
        self._trades = trades
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.most = 0.0

    def _read(self) -> None:
        while not self._stop.wait(0.5):
            with suppress(OSError):  # a scrape that takes too long is left out
                self.most = max(self.most, metrics_of(self._trades.service)["trades_backlog"])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def throughput(seconds: float, burst: float) -> list[Figure]:
    """Measure one long call and calls of 1,000 lines."""
    long, calls = Taken("stream", seconds, burst), Taken("calls", seconds, burst)
    figures = [
        Figure(f"one connection, one call for {seconds:.0f} s", long.rate, "trades/s", ">= 60000"),
        Figure("  CPU of a trade, all in", long.cpu_us, "us", "<= 15"),
        *(Figure(f"  elapsed in stage {stage}", us, "us") for stage, us in long.stages_us.items() if us),
        Figure("one connection, calls of 1,000 lines one by one", calls.rate, "trades/s"),
        Figure("  CPU of a trade, all in", calls.cpu_us, "us", "<= 15"),
        Figure("answers that were no 200", long.unacknowledged + calls.unacknowledged, "", "<= 0"),
        Figure("features sent to the subscriber", long.features.bytes / 2**20, "MiB"),
        Figure(
            "  streams that the service has ended", long.features.was_dropped + calls.features.was_dropped, "", "<= 0"
        ),
    ]
    for name, one in (("one call", long), ("calls", calls)):
        figures += [
            Figure(f"{burst:.0f} s of as much again beside {name}", one.burst_rate, "trades/s"),
            Figure("  largest backlog that was seen", one.backlog, "trades"),
            Figure("  calls that were refused", one.burst_refused),
            Figure("  acknowledged trades that the store does not have", one.lost, "", "<= 0"),
        ]
    return figures


class Delayed:
    """Latencies in ms at a rate: from when a call was due to its acknowledgement, and to each trade on /stream."""

    def __init__(self, rate: float, seconds: float) -> None:
        with scene() as parts:
            trades = TradeService(parts)
            trades.generator(Load("open", _WARM_UP, name="w", size=round(rate / 100), rate=rate)).done()
            events = Events(trades.url, "trades", keep=True)
            parts.closing(events.stop)
            wait_for(lambda: events.has_begun, what="a snapshot of the trades")
            sent = trades.generator(Load("open", seconds, size=round(rate / 100), rate=rate)).done()
            time.sleep(_SETTLE)
            events.stop()
        due = {call.number: call.due for call in sent.calls}
        self.acknowledged = [1000 * (call.answered - call.due) for call in sent.calls]
        streamed = [(number, 1000 * (at - due[number])) for number, at in events.seen() if number in due]
        self.streamed = [delay for _, delay in streamed]
        self.left_out = sent.acknowledged - len(streamed)
        self.rate = sent.acknowledged / sent.seconds
        self.asked = rate
        self.late = sent.late / len(sent.calls)
        self.refused = sent.refused

    def figures(self, *, bounded: bool) -> list[Figure]:
        """Return the figures."""
        at_least = f">= {_KEPT_UP * self.asked:.0f}"
        median, highest = ("<= 6", "<= 30") if bounded else ("", "")
        return [
            Figure(f"open loop, {self.asked:,.0f} trades/s due: acknowledged", self.rate, "trades/s", at_least),
            Figure(f"  calls that the generator sent late; it {_kept_up(self.late)}", 100 * self.late, "%"),
            Figure("  to the acknowledgement, p50", percentile(self.acknowledged, 0.5), "ms", median),
            Figure("  p99", percentile(self.acknowledged, 0.99), "ms", highest),
            Figure("  to the event on /stream, p50", percentile(self.streamed, 0.5), "ms", median),
            Figure("  p99", percentile(self.streamed, 0.99), "ms", highest),
            Figure("  trades not on /stream, as newer ones took their place", self.left_out),
            Figure("  calls that were refused", self.refused, "", "<= 0"),
        ]


def latency(seconds: float) -> list[Figure]:
    """Measure at RATE; if the service cannot take that, also at half of what it has taken."""
    delayed = Delayed(RATE, seconds)
    figures = delayed.figures(bounded=True)
    if delayed.rate < _KEPT_UP * RATE:
        figures += Delayed(delayed.rate / 2, seconds).figures(bounded=False)
    return figures


def memory(rate: float) -> list[Figure]:
    """Measure at `rate` trades a second of event time, sent as fast as the service takes them.

    The windows are full after the first half of the trades. The second half is as long as the longest window.
    """
    most = round(rate * _MEMORY_SECONDS)
    start = time.time() - _MEMORY_SECONDS - 60
    load = Load("calls", _MOST_SECONDS, most=most, event_rate=rate, event_start=start)
    with scene() as parts:
        trades = TradeService(parts)
        generator = trades.generator(load)
        halves: tuple[list[float], list[float]] = ([trades.memory], [])
        while generator.is_running:
            time.sleep(_SAMPLE_SECONDS)
            halves[trades.ingested >= most / 2].append(trades.memory)
        sent = generator.done()
        halves[1].append(trades.memory)
        frequency = trades.service.get("/features/btcusdt").json["trade_frequency"]
    full, end = (statistics.median(half[-_SAMPLES:]) for half in halves)
    highest, most_grown = ("<= 600", "<= 5") if rate == RATE else ("", "")
    expected = 60 * rate / len(assets())
    return [
        Figure(f"memory, 300 s windows at {rate:,.0f}/s of event time", max(*halves[0], *halves[1]), "MB", highest),
        Figure("  grown while windows stay full", 100 * (end / full - 1), "%", most_grown),
        Figure("  trades that were sent", sent.acknowledged, "trades", f">= {most}"),
        Figure("  trades in the 60 s window of one asset", frequency, "trades", f">= {0.99 * expected:.0f}"),
    ]


def _kept_up(late: float) -> str:
    return "kept up" if late <= 1 - _KEPT_UP else "did NOT keep up"


def _each(before: Mapping[str, float], after: Mapping[str, float], trades: int) -> dict[str, float]:
    return {stage: 1e6 * (after[stage] - before[stage]) / trades for stage in after}
