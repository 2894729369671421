"""Runs the real client against attacks under uvloop and says, as JSON, what each did to its process.

Reads lines of `KIND URL`; KIND is `ticker:DIALECT:SYMBOLS:CALLS`, `listing:DIALECT`, `push`, `trades` or
`recent:DIALECT`. Each attack has a process of its own, forked from this one, so that memory which one of them has left
behind is not there for the next.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from aggregator.errors import ExchangeError
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import connector
from aggregator.exchanges.push.trade_feed import MOST_BYTES, TradeFeed, TradeSinks
from aggregator.exchanges.registry import DIALECTS, PUSHING, TRADING
from aggregator.exchanges.venues.mock import Mock
from aggregator.models import Asset, LeftOut, Tier, Trade
from aggregator.observability.metrics import Metrics
from aggregator.runtime.lifecycle import settle_memory
from aggregator.trades.ports import Receipt
from aggregator.trades.rejection import Rejection

_TIMEOUT = 1.0  # seconds; half the default of the setting
# A flood keeps both cores busy until the time limit, and does in its first 0.4 s what it does afterwards: with a bound
# of 64 MiB and 100 ms, whatever grows or blocks shows by then.
_FLOODED_SECONDS = 0.4
_CONCURRENCY = 128  # the default of the setting
_CONNECT_SECONDS = 20.0
_PUSH_SECONDS = 0.5
_TRADE_SECONDS = 1.0
_MOST_RAW = 4096
_BEAT = 0.001
_PROC = Path("/proc/self")


class Heartbeat:
    """The longest time between two iterations of the event loop, in CPU seconds of this process, without other load.

    All threads count, as one that decodes holds the interpreter's lock.
    """

    def __init__(self) -> None:
        self.stall = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        last = time.process_time()
        while True:
            await asyncio.sleep(_BEAT)
            now = time.process_time()
            self.stall = max(self.stall, now - last)
            last = now


def _memory(name: str) -> float:
    """Return VmRSS or VmHWM in MiB."""
    text = (_PROC / "status").read_text()
    return int(text.partition(name + ":")[2].split()[0]) / 1024


async def measured(work: Awaitable[dict[str, object]]) -> dict[str, object]:
    """Await the work; return its result, the longest stall in milliseconds and the growth in MiB."""
    (_PROC / "clear_refs").write_text("5")  # resets the peak
    before, beat = _memory("VmRSS"), Heartbeat()
    beating = asyncio.create_task(beat.run())
    await asyncio.sleep(10 * _BEAT)
    began = time.process_time()
    said = await work
    await asyncio.sleep(10 * _BEAT)
    beating.cancel()
    figures = {"stall_ms": 1000 * beat.stall, "growth_mib": _memory("VmHWM") - before}
    return said | figures | {"cpu_s": time.process_time() - began}


async def fetched(exchange: HttpExchange, assets: Sequence[Asset], calls: int) -> dict[str, object]:
    """Fetch in so many calls at once; return the reasons in the answers, and the longest text."""
    found = await asyncio.gather(*(exchange.fetch(assets) for _ in range(calls)))
    answers = [one for answer in found for one in answer.values()]
    details = [one.detail for one in answers if isinstance(one, LeftOut)]
    reasons = sorted({one.reason.value if isinstance(one, LeftOut) else "ticker" for one in answers})
    return {"reasons": reasons, "longest": max(map(len, details), default=0), "detail": "".join(details[:1])[:300]}


async def listed(exchange: HttpExchange) -> dict[str, object]:
    """Read the listing; return the error, if any, and the number of markets."""
    error = await exchange.read_listing()
    return {"error": str(error)[:300] if error else "", "size": exchange.listing.size}


class Counted:
    """An event log and dead letters that count, and keep nothing."""

    def __init__(self) -> None:
        self.trades = self.rejections = 0

    def append(self, trades: Sequence[Trade], source: str = "ingest") -> asyncio.Future[Receipt]:  # noqa: ARG002  # of the port
        """As `EventLog.append`."""
        self.trades += len(trades)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        future.set_result(Receipt(len(trades), 0))
        return future

    async def room(self) -> None:
        """As `EventLog.room`."""

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """As `DeadLetters.bury`."""
        self.rejections += len(rejections)
        assert all(len(one.raw) <= _MOST_RAW for one in rejections)


async def traded(http: Session, url: str, assets: Sequence[Asset], metrics: Metrics) -> dict[str, object]:
    """Let a feed of trades run for some seconds after it has got something, or has not connected."""
    counted, dialect = Counted(), TRADING["kraken"]()
    exchange = HttpExchange("odd", url, DIALECTS["kraken"](), http, metrics, _CONCURRENCY)
    feed = TradeFeed(
        "odd",
        url.replace("http", "ws", 1),
        dialect,
        connector(http, time.time, MOST_BYTES),
        lambda: assets,
        {asset.symbol: asset for asset in assets}.get,
        partial(exchange.recent_trades, dialect),
        TradeSinks(counted, counted),
        metrics.trades,
    )
    running = asyncio.create_task(feed.run())
    await asyncio.sleep(_TRADE_SECONDS)
    ended = running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return {"ended": ended, "trades": counted.trades, "rejections": counted.rejections}


async def recent(exchange: HttpExchange, dialect: str, asset: Asset) -> dict[str, object]:
    """Ask for recent trades; return the number of records, and the error, if any."""
    try:
        return {"records": len(await exchange.recent_trades(TRADING[dialect](), asset)), "error": ""}
    except ExchangeError as error:
        return {"records": 0, "error": str(error)}


async def pushed(feed: Feed, count: Callable[[str], float]) -> dict[str, object]:
    """Let the feed run until it closes the connection, or for some seconds after the connection is made."""
    running = asyncio.create_task(feed.run())
    deadline = asyncio.get_running_loop().time() + _CONNECT_SECONDS
    while not count("connections") and not count("lost") and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_BEAT)
    deadline = asyncio.get_running_loop().time() + _PUSH_SECONDS
    while not count("lost") and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_BEAT)
    trouble = feed.trouble
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return {
        "trouble": trouble[:300],
        "longest": len(trouble),
        "connections": count("connections"),
        "lost": count("lost"),
    }


def _pushed_count(metrics: Metrics, what: str) -> float:
    name, labels = f"price_exchange_push_{what}_total", {"exchange": "odd"}
    if what != "connections":
        name, labels = "price_exchange_push_messages_total", labels | {"kind": what}
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def main(kind: str, url: str) -> dict[str, object]:
    """Run one attack."""
    what, _, rest = kind.partition(":")
    metrics = Metrics(CollectorRegistry())
    assets = [Asset("btcusdt", "btc", "usdt", Tier.HOT, 1), Asset("ethusdt", "eth", "usdt", Tier.HOT, 2)]
    async with session(_FLOODED_SECONDS if what == "ticker" else _TIMEOUT) as http:
        well = HttpExchange("well", url.rpartition("/")[0] + "/well", Mock(), http, metrics, _CONCURRENCY)
        await well.fetch(assets[:1])  # allocations that happen once do not belong to the attack
        if what == "push":
            dialect, address, connect = PUSHING["kraken"](), url.replace("http", "ws", 1), connector(http, time.time)
            feed = Feed("odd", address, dialect, connect, lambda: assets, 5, metrics)
            return await measured(pushed(feed, partial(_pushed_count, metrics)))
        if what == "trades":
            return await measured(traded(http, url, assets, metrics))
        name, _, numbers = rest.partition(":")
        exchange = HttpExchange("odd", url, DIALECTS[name](), http, metrics, _CONCURRENCY)
        if what == "recent":
            return await measured(recent(exchange, name, assets[0]))
        if what == "listing":
            return await measured(listed(exchange))
        symbols, calls = map(int, numbers.split(":"))
        assets += [Asset(f"c{number}usdt", f"c{number}", "usdt", Tier.COLD, number) for number in range(3, symbols + 1)]
        return await measured(fetched(exchange, assets[:symbols], calls))


def in_a_process(kind: str, url: str) -> str:
    """Run one attack in a child; return the line that it has written."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(uvloop.run(main(kind, url))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settle_memory()  # as the service does after its start
    for line in sys.stdin:
        sys.stdout.write(in_a_process(*line.split()) + "\n")
        sys.stdout.flush()
