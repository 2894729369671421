"""A recording is replayed: the venue's answers at their time and with their age."""

import asyncio
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from aggregator.exchanges.dialect import Market
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import connector
from aggregator.exchanges.recording import (
    Header,
    Record,
    Recording,
    RecordingFile,
    kept,
    read,
)
from aggregator.exchanges.registry import DIALECTS, PUSHING
from aggregator.exchanges.replay import (
    RecordedExchange,
    ReplayedExchange,
    recorded,
    recorded_clock,
    replayed,
)
from aggregator.exchanges.wrapped import ShiftedExchange
from aggregator.models import Asset, LeftOut, Reason, Ticker, Tier
from aggregator.observability.metrics import Metrics
from tests.exchanges.push.scene import until
from tests.exchanges.test_recording import BEGAN, HEADER, body, said
from tests.exchanges.venues.servers import FEEDS
from tests.exchanges.venues.sockets import opened

BTC = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)
ETH = Asset("ethusdt", "eth", "usdt", Tier.HOT, 2)
SHIB = Asset("shibusdt", "shib", "usdt", Tier.HOT, 3)
LATER = 1_800_000_000.0  # when the recording is played


class Played:
    """A replayed exchange and its clock, which the test moves."""

    def __init__(self, records: Sequence[Record], http: aiohttp.ClientSession, dialect: str = "binance") -> None:
        self.elapsed = 0.0
        self.recording = Recording(HEADER, records)
        self.metrics = Metrics(CollectorRegistry())
        now, self.behind = recorded_clock(self.recording, self.now)
        self.inner = ReplayedExchange(
            "binance", DIALECTS[dialect](), self.recording, http, self.metrics, 4, 100, None, now
        )
        self.exchange = ShiftedExchange(self.inner, self.behind)

    def now(self) -> float:
        """Return unix seconds."""
        return LATER + self.elapsed

    async def fetch(self, asset: Asset = BTC) -> Ticker | LeftOut:
        """Fetch one asset."""
        return (await self.exchange.fetch([asset]))[asset.symbol]


async def test_each_answer_comes_at_its_time_and_age(http: aiohttp.ClientSession) -> None:
    """The first answer comes at once, the next one when it was recorded, each with the age it had then."""
    played = Played([said(BEGAN + 1, "0.00000001234"), said(BEGAN + 6, "2", delay=30)], http)
    first = await played.fetch()
    assert isinstance(first, Ticker)
    assert str(first.price) == "1.234E-8"
    assert LATER - first.timestamp == pytest.approx(0.2, abs=1e-3)
    played.elapsed = 4.9
    assert await played.fetch() == first  # nothing newer was said by then
    played.elapsed = 5
    second = await played.fetch()
    assert isinstance(second, Ticker)
    assert second.price == 2
    assert LATER + 5 - second.timestamp == pytest.approx(30, abs=1e-3)  # old then, old now
    assert played.exchange.newest_ticker == pytest.approx(first.timestamp, abs=1e-3)


async def test_failures_are_replayed(http: aiohttp.ClientSession) -> None:
    """A timeout, a 429 with its cool-down and a wrong body have the same reasons as when they were recorded."""
    markets = (Market("btcusdt", "BTCUSDT"),)
    played = Played(
        [
            said(BEGAN, "1"),
            Record(BEGAN + 1, "/x", markets, error=Reason.TIMEOUT, detail="no answer in time"),
            Record(BEGAN + 2, "/x", markets, 200, text="<html>"),
            Record(BEGAN + 3, "/x", markets, 429, {"Retry-After": "7"}, "{}"),
        ],
        http,
    )
    assert isinstance(await played.fetch(), Ticker)
    for elapsed, reason in ((1, Reason.TIMEOUT), (2, Reason.UNDECODABLE), (3, Reason.RATE_LIMITED)):
        played.elapsed = elapsed
        answer = await played.fetch()
        assert isinstance(answer, LeftOut)
        assert answer.reason is reason
    assert 4 < played.exchange.quiet_seconds <= 7


@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
async def test_headers_are_found_in_whatever_case(http: aiohttp.ClientSession, spell: Callable[[str], str]) -> None:
    """Headers count in any case: HTTP/2 and proxies change it."""
    markets = (Market("btcusdt", "BTCUSDT"),)
    wait = {spell("Retry-After"): "7", spell("Date"): "Thu, 09 Oct 2025 08:53:32 GMT", "Set-Cookie": "secret"}
    played = Played([Record(BEGAN, "/x", markets, 429, kept(wait), "{}")], http)
    assert (await played.fetch()) == LeftOut("binance", Reason.RATE_LIMITED, "HTTP 429")
    assert 4 < played.exchange.quiet_seconds <= 7
    used = kept({spell("X-MBX-USED-WEIGHT-1M"): "5800"})
    record = said(BEGAN, "1")
    played = Played([Record(record.at, record.path, record.markets, 200, used, record.text)], http)
    assert isinstance(await played.fetch(), Ticker)
    assert 0 < played.exchange.quiet_seconds <= 60


async def test_five_recorded_failures_open_the_breaker(http: aiohttp.ClientSession) -> None:
    """Recorded failures count as real ones do."""
    markets = (Market("btcusdt", "BTCUSDT"),)
    failures = [Record(BEGAN + number, "/x", markets, 500, text="down") for number in range(6)]
    played = Played(failures, http)
    for number in range(5):
        played.elapsed = number
        await played.fetch()
    assert played.exchange.breaker_state == "open"


async def test_other_batches_than_were_recorded(http: aiohttp.ClientSession) -> None:
    """Each pair has its newest answer, whichever batch recorded it; a failure of one call concerns only its pairs."""
    both = (Market("btcusdt", "BTCUSDT"), Market("ethusdt", "ETHUSDT"))
    records = [
        Record(BEGAN, "/x", both, 200, {}, f"[{body('1', BEGAN)},{body('2', BEGAN, 'ETHUSDT')}]"),
        said(BEGAN + 1, "3"),
        Record(BEGAN + 9, "/x", (Market("shibusdt", "SHIBUSDT"),), 500),
    ]
    played = Played(records, http)
    played.elapsed = 2
    answers = await played.exchange.fetch([BTC, ETH, SHIB, Asset("x", "x", "x", Tier.HOT, 9)])
    prices = {symbol: answer.price for symbol, answer in answers.items() if isinstance(answer, Ticker)}
    assert prices == {"btcusdt": Decimal(3), "ethusdt": Decimal(2)}
    reasons = {symbol: answer.reason for symbol, answer in answers.items() if isinstance(answer, LeftOut)}
    assert reasons == {"shibusdt": Reason.UNREACHABLE, "x": Reason.NOT_LISTED}
    played.elapsed = 10
    assert isinstance((await played.exchange.fetch([BTC, SHIB]))["btcusdt"], Ticker)
    assert played.exchange.breaker_state == "closed"


@pytest.mark.real
@pytest.mark.parametrize("name", list(FEEDS))
async def test_what_was_recorded_is_what_is_replayed(name: str, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Polled answers, the listing, refusals and frames of a local venue give the same tickers after a replay."""
    path = tmp_path / f"{name}.rec.gz"
    dialect, pushing, metrics = DIALECTS[name](), PUSHING[name](), Metrics(CollectorRegistry())
    async with opened(FEEDS[name]()) as venue:
        file = RecordingFile(path, Header(name, name, pushed=True, began=time.time()))
        polled = RecordedExchange(name, f"{venue.url}/polled", dialect, http, metrics, 4, 100, file)
        connect = recorded(connector(http, time.time), file, time.time)
        feed = Feed(name, venue.push_url, pushing, connect, lambda: [BTC], 5, metrics)
        running = asyncio.create_task(feed.run())
        assert await polled.read_listing() is None
        told = (await polled.fetch([ETH]))["ethusdt"]
        assert isinstance(told, Ticker)
        venue.rest.fault = lambda _: web.Response(status=503, text="down")
        refused = (await polled.fetch([ETH]))["ethusdt"]
        assert isinstance(refused, LeftOut)
        await until(lambda: feed.young("btcusdt") is not None)
        pushed = feed.young("btcusdt")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        file.close()
    recording = read(path)
    assert recording.header.name == name
    last = recording.newest("ethusdt", time.time())
    assert last is not None
    moment = last.at - 0.000_001  # of the recording's time
    again = ReplayedExchange(name, dialect, recording, http, metrics, 4, 100, None, lambda: moment)
    assert await again.read_listing() is None
    assert again.trades("ethusdt")
    assert again.trades("shibusdt") is False
    assert (await again.fetch([ETH]))["ethusdt"] == told
    moment = last.at
    assert (await again.fetch([ETH]))["ethusdt"] == refused
    now, behind = recorded_clock(recording)
    feed = Feed(name, "ws://nowhere", pushing, replayed(recording, now), lambda: [BTC], 5, metrics, now=now)
    running = asyncio.create_task(feed.run())
    await until(lambda: feed.young("btcusdt") is not None)
    first = feed.young("btcusdt")
    assert first is not None
    assert pushed is not None
    assert (first.price, first.volume, first.symbol) == (pushed.price, pushed.volume, pushed.symbol)
    assert behind >= 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_replayed_feed_that_is_over_falls_back(http: aiohttp.ClientSession) -> None:
    """The recorded end of a connection is replayed, and after the last frame there are none."""
    frames = [Record(BEGAN, frame="{}"), Record(BEGAN + 0.1, frame="", error=Reason.UNREACHABLE, detail="cut off")]
    recording = Recording(HEADER, frames)
    now, _ = recorded_clock(recording)
    metrics = Metrics(CollectorRegistry())
    with capture_logs() as log:  # the trouble itself is replaced by that of the next connection soon after
        feed = Feed("kraken", "", PUSHING["kraken"](), replayed(recording, now), lambda: [BTC], 1, metrics, now=now)
        running = asyncio.create_task(feed.run())
        await until(lambda: "unreachable: cut off" in [one.get("error") for one in log])
        await until(lambda: feed.trouble.startswith("timeout: no message for"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert http
