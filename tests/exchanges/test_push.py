"""Exchanges that push, over real WebSockets and real HTTP, with the faults that feeds have."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from aggregator.api.exchanges import shown, trouble
from aggregator.backoff import Backoff
from aggregator.exchanges.http import HttpExchange, session
from aggregator.exchanges.push.exchange import PushedExchange
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import MOST_BYTES, connector
from aggregator.metrics import Metrics
from aggregator.models import Asset, Clock, Ticker, Tier
from aggregator.service.exchanges import DIALECTS, PUSHING
from tests.exchanges.test_http import value
from tests.exchanges.venues.sockets import FEEDS, KrakenFeed, opened
from tests.exchanges.venues.sockets import Feed as Pushing
from tests.parts.ports import free_port

pytestmark = pytest.mark.real

BTC = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)
ETH = Asset("ethusdt", "eth", "usdt", Tier.HOT, 2)
DOGE = Asset("dogeusdt", "doge", "usdt", Tier.HOT, 3)
SECONDS = 10.0
INTERVAL = 1.0  # so that what takes one does not take long


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.01)


class Scene:
    """A venue, and the exchange in front of it as the service sees it."""

    def __init__(self, name: str, venue: Pushing, http: aiohttp.ClientSession, interval: float) -> None:
        self.venue = venue
        self.metrics = Metrics(CollectorRegistry())
        self.wanted: Sequence[Asset] = [BTC, ETH]
        self.ahead = 0.0
        polled = HttpExchange(name, f"{venue.url}/polled", DIALECTS[name](), http, self.metrics, 4)
        connect = connector(http, time.time)
        self.feed = Feed(
            name, venue.push_url, PUSHING[name](), connect, lambda: self.wanted, interval, self.metrics, now=self.now
        )
        self.exchange = PushedExchange(polled, self.feed, self.metrics)

    def now(self) -> float:
        """Return unix seconds."""
        return time.time() + self.ahead

    def young(self) -> bool:
        """Whether both assets can be answered from the feed."""
        return all(self.feed.young(asset.symbol) for asset in (BTC, ETH))

    async def ticker(self, asset: Asset = BTC) -> Ticker:
        """Fetch one."""
        answer = (await self.exchange.fetch([asset]))[asset.symbol]
        assert isinstance(answer, Ticker), answer
        return answer

    async def is_polled(self, asset: Asset = BTC) -> bool:
        """Whether a fetch takes a call, and brings what it said."""
        before = self.venue.polls
        ticker = await self.ticker(asset)
        if self.venue.polls == before:
            assert ticker.price == Decimal(self.venue.price)
            return False
        assert ticker.price == Decimal(self.venue.polled_price)
        return True

    def count(self, kind: str) -> float:
        """Return how many news of this kind there were."""
        exchange = self.exchange.name
        return value(self.metrics, "price_exchange_push_messages_total", exchange=exchange, kind=kind)

    def told(self) -> str:
        """Return what /ready says of it."""
        return trouble(self.exchange, time.time(), 2 * INTERVAL)


@asynccontextmanager
async def running(name: str, interval: float = INTERVAL, venue: Pushing | None = None) -> AsyncIterator[Scene]:
    """Run the venue and the feed."""
    async with opened(venue or FEEDS[name]()) as served, session(0.5) as http:
        scene = Scene(name, served, http, interval)
        running = asyncio.create_task(scene.feed.run())
        try:
            yield scene
        finally:
            assert not running.done(), "a feed never ends"
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(params=list(FEEDS))
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """Each of the three, pushing."""
    async with running(request.param) as scene:
        await until(scene.young)
        yield scene


async def test_what_is_pushed_needs_no_call(scene: Scene) -> None:
    """Every digit as it left, the exchange's own time and symbol, base volume; and /ready calls it live."""
    answers = await scene.exchange.fetch([BTC, ETH])
    assert list(answers) == ["btcusdt", "ethusdt"]
    for symbol, answer in answers.items():
        assert isinstance(answer, Ticker)
        assert (answer.exchange, answer.symbol) == (scene.exchange.name, symbol)
        assert str(answer.price) == "1.234E-8"
        assert str(answer.volume) == "8913.300000000000000001"
        assert abs(answer.timestamp - time.time()) < SECONDS
    assert scene.venue.polls == 0
    assert value(scene.metrics, "price_exchange_push_answers_total", exchange=scene.exchange.name) == 2
    assert value(scene.metrics, "price_exchange_push_state", exchange=scene.exchange.name) == 1
    assert scene.told() == ""
    assert shown(scene.exchange, time.time())["push"] == "live"
    assert scene.exchange.silent_seconds < 1
    assert scene.exchange.newest_ticker is not None
    for told in ("last", "newest"):
        since = time.time() - value(
            scene.metrics, f"price_exchange_{told}_ticker_timestamp_seconds", exchange=scene.exchange.name
        )
        assert abs(since) < SECONDS
    assert scene.count("junk") == 0


async def test_what_is_not_pushed_is_polled(scene: Scene) -> None:
    """An asset beyond those wanted; in one fetch with those that are."""
    answers = await scene.exchange.fetch([BTC, DOGE] if scene.exchange.batch > 1 else [DOGE])
    assert isinstance(answers["dogeusdt"], Ticker)
    assert answers["dogeusdt"].price == Decimal(scene.venue.polled_price)
    assert scene.venue.polls == 1


async def test_a_mute_connection_falls_back_within_an_interval(scene: Scene) -> None:
    """It stays open and says nothing: the next asset asked for is polled, and it says so; it comes back by itself."""
    scene.venue.mute = True
    began = time.monotonic()
    await until(lambda: not scene.young())
    assert time.monotonic() - began < INTERVAL
    assert scene.venue.open == 1
    assert await scene.is_polled()
    await until(lambda: scene.told() != "")
    assert scene.told().startswith("is polled, as its feed has fallen back: ")
    await until(lambda: scene.count("lost") > 0)
    assert value(scene.metrics, "price_exchange_push_state", exchange=scene.exchange.name) == 0
    scene.venue.mute = False
    await until(scene.young)
    assert not await scene.is_polled()
    await until(lambda: scene.told() == "")
    assert scene.venue.connections >= 2


async def test_a_dropped_connection_falls_back_at_once(scene: Scene) -> None:
    """Cut, or closed in good order: what was pushed before is not served any more; reconnected, it pushes again."""
    for end in (scene.venue.drop, scene.venue.hang_up):
        before, lost = scene.venue.connections, scene.count("lost")
        scene.venue.handshake = 503
        await end()
        await until(lambda than=lost: scene.count("lost") > than)  # type: ignore[misc]  # it is a float
        assert await scene.is_polled()
        assert scene.told().startswith("is polled, as its feed has fallen back: ")
        scene.venue.handshake = 101
        await until(scene.young)
        assert scene.venue.connections == before + 1
        assert not await scene.is_polled()


async def test_a_clock_that_stands_still_is_caught_by_age(scene: Scene) -> None:
    """Tickers keep coming, each as old as the clock: they are polled for, and /ready says why."""
    scene.venue.freeze()
    await until(lambda: not scene.young())
    rounds = scene.venue.rounds
    await until(lambda: scene.venue.rounds > rounds + 2)
    assert await scene.is_polled()
    await until(lambda: "no young ticker for" in scene.told() or "clock stands still" in scene.told())


async def test_beats_alone_are_no_tickers(scene: Scene) -> None:
    """A connection that is alive and brings no ticker is not what is to be served from."""
    scene.venue.beats_only = True
    await until(lambda: not scene.young())
    assert await scene.is_polled()
    await until(lambda: scene.told() != "")


@pytest.mark.parametrize("seconds", [60, -60])
async def test_a_time_nobody_can_believe_is_not_served(scene: Scene, seconds: float) -> None:
    """A minute ahead or behind: polled."""
    scene.ahead = seconds
    assert not scene.young()
    assert await scene.is_polled()


JUNK = [
    "",
    "not json",
    "[]",
    "null",
    "{}",
    '{"type":null}',
    "[" * 5000,
    '{"x":' + "[" * 5000 + "]" * 5000 + "}",
    '{"stream":"btcusdt@ticker","data":{}}',
    '{"stream":"btcusdt@ticker","data":{"E":1,"s":"ETHUSDT","c":"1","v":"1"}}',
    '{"code":2,"msg":"Invalid request: too many parameters"}',
    '{"type":"news","text":"hello"}',
    '{"type":"ticker","product_id":"BTC-USDT"}',
    '{"channel":"ticker","data":{}}',
    '{"channel":"ticker","data":[{"symbol":"BTC/USDT","last":"x","volume":1,"timestamp":"2023-10-01T00:00:00Z"}]}',
    '{"channel":"gossip","data":[]}',
]


async def test_junk_is_counted_and_changes_nothing(scene: Scene) -> None:
    """Whatever it is, the tickers go on; it costs neither them nor the connection."""
    for junk in JUNK:
        await scene.venue.say(junk)
    await until(lambda: scene.count("junk") == len(JUNK))
    assert scene.young()
    assert not await scene.is_polled()
    assert scene.venue.connections == 1


@pytest.mark.parametrize("number", ["0", "-1", "NaN", "Infinity"])
async def test_a_number_no_market_has_is_junk(scene: Scene, number: str) -> None:
    """Zero for a price is never served from a feed; what was held goes out of use by its age."""
    scene.venue.price = number
    await until(lambda: scene.count("junk") >= 2)
    await until(lambda: not scene.young())
    assert await scene.is_polled()


async def test_a_pair_nobody_asked_for_is_junk(scene: Scene) -> None:
    """A feed cannot fill our memory with pairs of its own."""
    name = PUSHING[scene.exchange.name]().spell(DOGE)
    await scene.venue.say(scene.venue.ticker(name, "update"))
    await until(lambda: scene.count("junk") == 1)
    assert scene.feed.young("dogeusdt") is None


async def test_a_frame_too_large_ends_the_connection(scene: Scene) -> None:
    """It is not read to its end; the next connection does."""
    with capture_logs() as logs:
        await scene.venue.say("x" * (MOST_BYTES + 1))
        await until(lambda: scene.count("lost") >= 1)
    assert logs[0]["error"] == f"undecodable: a frame of more than {MOST_BYTES} bytes"
    await until(scene.young)


async def test_an_older_ticker_never_replaces_a_newer_one(scene: Scene) -> None:
    """Frames may overtake each other."""
    name = PUSHING[scene.exchange.name]().spell(BTC)
    scene.venue.mute = True
    scene.venue.price, scene.venue.behind = "7", 1
    scene.venue.trades -= 100
    await scene.venue.say(scene.venue.ticker(name, "update"))
    await until(lambda: scene.count("out_of_order") == 1)
    scene.venue.price = "0.00000001234"
    assert not await scene.is_polled()


async def test_wanted_assets_come_and_go(scene: Scene) -> None:
    """Popularity moves them: one is asked for, another no more, on the same connection."""
    scene.wanted = [ETH, DOGE]
    await until(lambda: scene.feed.young("dogeusdt") is not None)
    assert scene.feed.young("btcusdt") is None
    assert await scene.is_polled(BTC)
    assert scene.venue.connections == 1
    rounds, junk = scene.venue.rounds, scene.count("junk")
    await until(lambda: scene.venue.rounds > rounds + 3)
    assert scene.count("junk") == junk  # what is no longer wanted is no longer sent


async def test_a_gap_is_resynchronised() -> None:
    """Coinbase's heartbeats know of a trade whose ticker never came: dropped, and asked for anew."""
    async with running("coinbase") as scene:
        scene.wanted = [BTC]
        await until(lambda: scene.feed.young("btcusdt") is not None)
        heard = len(scene.venue.heard)
        scene.venue.lose_tickers = True
        await until(lambda: scene.count("gap") == 1)
        await until(lambda: len(scene.venue.heard) >= heard + 2)
        assert [asked["type"] for asked in scene.venue.heard[heard : heard + 2]] == ["unsubscribe", "subscribe"]
        await until(lambda: scene.feed.young("btcusdt") is not None)
        assert scene.venue.connections == 1


@pytest.mark.parametrize("name", ["coinbase", "kraken"])
async def test_a_pair_it_does_not_trade_costs_only_itself(name: str) -> None:
    """The refusal is counted, the others are pushed; Binance says nothing, and pushes nothing, of such a pair."""
    venue = FEEDS[name]()
    venue.unlisted = {PUSHING[name]().spell(ETH)}
    async with running(name, venue=venue) as scene:
        await until(lambda: scene.feed.young("btcusdt") is not None)
        await until(lambda: scene.count("refused") == 1)
        assert await scene.is_polled(ETH)
        assert scene.venue.connections == 1


async def test_a_subscription_that_was_lost_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one pair among others, on a connection that is well."""
    venue = FEEDS["coinbase"]()
    venue.overhears = {"BTC-USDT"}
    async with running("coinbase", venue=venue) as scene:
        await until(lambda: scene.feed.young("ethusdt") is not None)
        assert await scene.is_polled(BTC)
        monkeypatch.setattr("aggregator.exchanges.push.feed._ASK_AGAIN", 0.1)
        await until(scene.young)
        assert scene.venue.connections == 1


async def test_a_feed_that_tells_no_time() -> None:
    """Its tickers have that of their receipt, and say so."""
    venue = KrakenFeed()
    venue.tells_time = False
    async with running("kraken", venue=venue) as scene:
        await until(scene.young)
        ticker = await scene.ticker()
        assert ticker.clock is Clock.RECEIPT
        assert abs(ticker.timestamp - time.time()) < SECONDS
        assert scene.venue.polls == scene.count("junk") == 0


async def test_a_symbols_file_without_base_and_quote_is_polled() -> None:
    """Coinbase and Kraken need to know one from the other; nothing is pushed, and nothing is wrong."""
    async with running("kraken") as scene:
        scene.wanted = [Asset("btcusdt", "", "", Tier.HOT, 1)]
        await until(lambda: scene.told() == "")
        assert scene.feed.young("btcusdt") is None


async def test_subscriptions_are_bounded_and_in_parts() -> None:
    """No more pairs than a connection takes, no more in a message than is polite."""
    async with running("kraken") as scene:
        dialect = PUSHING["kraken"]()
        scene.wanted = [Asset(f"c{number}usd", f"c{number}", "usd", Tier.HOT, number) for number in range(1000)]
        await until(lambda: len(scene.venue.heard) >= 4 and scene.feed.young("c199usd") is not None)
        asked = [one["params"]["symbol"] for one in scene.venue.heard if one["method"] == "subscribe"]  # type: ignore[index]  # an object
        sizes = [len(names) for names in asked if names[0].startswith("C")]
        assert sizes == [dialect.most_together] * (dialect.most_symbols // dialect.most_together)
        assert scene.feed.young("c200usd") is None


async def test_a_refused_handshake_is_heeded() -> None:
    """A 429 with Retry-After: no second try before that, and polls go on."""
    venue = FEEDS["binance"]()
    venue.handshake, venue.retry_after = 429, "30"
    async with running("binance", venue=venue) as scene:
        await until(lambda: scene.count("lost") == 1)
        assert 29 < scene.feed._quiet.seconds <= 30
        assert scene.told() == "is polled, as its feed has fallen back: rate_limited: HTTP 429"
        assert await scene.is_polled()
        assert scene.count("lost") == 1


@pytest.mark.parametrize("status", [200, 301, 403, 500])
async def test_what_is_no_websocket_is_told(status: int) -> None:
    """Whatever stands there, it is tried again, and said what it was."""
    venue = FEEDS["binance"]()
    venue.handshake = status
    async with running("binance", venue=venue) as scene:
        await until(lambda: scene.count("lost") >= 2)
        assert (
            scene.told() == f"is polled, as its feed has fallen back: http_error: HTTP {status} instead of a WebSocket"
        )


async def test_nobody_there() -> None:
    """A refused connection is told."""
    async with session(0.5) as http:
        metrics, url = Metrics(CollectorRegistry()), f"ws://127.0.0.1:{free_port()}"
        feed = Feed("kraken", url, PUSHING["kraken"](), connector(http, time.time), lambda: [BTC], 5, metrics)
        running = asyncio.create_task(feed.run())
        await until(lambda: "unreachable" in feed.trouble)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_pauses_begin_anew_after_a_connection_that_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not before: who refuses every connection is tried ever more rarely."""

    class Counted(Backoff):
        def __init__(self, longest: float) -> None:
            super().__init__(longest)
            self.pauses = 0
            made.append(self)

        async def pause(self) -> None:
            self.pauses += 1
            await super().pause()

    made: list[Counted] = []
    monkeypatch.setattr("aggregator.exchanges.push.feed.Backoff", Counted)
    venue = FEEDS["binance"]()
    venue.handshake = 500
    async with running("binance", venue=venue) as scene:
        await until(lambda: scene.count("lost") >= 4)
        assert len(made) == 1
        assert made[0].pauses >= 3
        venue.handshake = 101
        await until(scene.young)
        monkeypatch.setattr("aggregator.exchanges.push.feed._SETTLED", 0)
        await venue.drop()
        await until(lambda: len(made) == 2)


async def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may be twice as long as the one before, up to the longest; how long it is, chance decides."""
    slept: list[float] = []
    bounds: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("aggregator.backoff.asyncio.sleep", sleep)
    backoff = Backoff(30)
    for _ in range(12):
        bounds.append(backoff._longest)
        await backoff.pause()
    assert all(0 <= one <= bound for one, bound in zip(slept, bounds, strict=True))
    assert bounds[:3] == [0.05, 0.1, 0.2]
    assert bounds[-1] == 30
    assert len(set(slept)) == 12
    assert not math.isclose(slept[-1], slept[-2])
