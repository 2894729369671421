"""Each dialect against the exchange it is for, as that one's documentation describes it: the real client, over HTTP.

Nothing here was captured from an exchange; the pages the answers are written from are named in `venues/`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from aggregator.exchanges.dialect import Bucket, Dialect
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.listings import Listings
from aggregator.exchanges.rate_limit import RateLimiter
from aggregator.exchanges.venues.binance import Binance
from aggregator.exchanges.venues.bybit import Bybit
from aggregator.exchanges.venues.coinbase import Coinbase
from aggregator.exchanges.venues.kraken import Kraken
from aggregator.exchanges.venues.okx import Okx
from aggregator.models import Asset, Clock, LeftOut, Reason, Ticker, Tier
from aggregator.observability.metrics import Metrics
from tests.exchanges.venues.base import QUOTES, Quote, Venue, running
from tests.exchanges.venues.binance import BinanceVenue
from tests.exchanges.venues.bybit import BybitVenue
from tests.exchanges.venues.coinbase import CoinbaseVenue
from tests.exchanges.venues.kraken import KrakenVenue
from tests.exchanges.venues.okx import OkxVenue
from tests.parts.clock import Clock as Hands
from tests.parts.examples import NOW

pytestmark = pytest.mark.real

PAIRS: dict[str, tuple[Callable[[], Dialect], type[Venue]]] = {
    "binance": (Binance, BinanceVenue),
    "coinbase": (Coinbase, CoinbaseVenue),
    "kraken": (Kraken, KrakenVenue),
    "okx": (Okx, OkxVenue),
    "bybit": (Bybit, BybitVenue),
}
MANY_A_CALL = ("binance", "kraken")
ASSETS = [Asset(quote.symbol, quote.base, quote.quote, Tier.HOT, rank) for rank, quote in enumerate(QUOTES, start=1)]
BTC = ASSETS[0]
NOWHERE = Asset("nosuchcoin", "nosuch", "coin", Tier.COLD, 9)


class Scene:
    """A local exchange, and the client of it whose time goes when told."""

    def __init__(self, name: str, venue: Venue, http: Session, dialect: Dialect | None = None) -> None:
        self.name = name
        self.venue = venue
        self.hands = Hands()
        self.metrics = Metrics(CollectorRegistry())
        dialect = dialect or PAIRS[name][0]()
        dialect.budget = None  # which is in real seconds; see test_allowance.py
        self.exchange = HttpExchange(
            name, venue.url, dialect, http, self.metrics, 8, clock=self.hands, now=lambda: NOW + self.hands.now - 1000
        )

    async def ask(self, *assets: Asset) -> Mapping[str, Ticker | LeftOut]:
        """Ask as the refresher does, in parts of as many as the exchange takes."""
        size = self.exchange.batch
        parts = [assets[first : first + size] for first in range(0, len(assets), size)]
        answers: dict[str, Ticker | LeftOut] = {}
        for part in parts:
            answers |= await self.exchange.fetch(part)
        return answers

    async def refusal(self, asset: Asset = BTC) -> LeftOut:
        """Ask for one of which there is no ticker to be had."""
        answer = (await self.exchange.fetch([asset]))[asset.symbol]
        assert isinstance(answer, LeftOut), answer
        return answer

    def asked(self) -> list[str]:
        """Return what was asked since the last time."""
        asked, self.venue.asked = self.venue.asked, []
        return asked


@pytest.fixture
async def http() -> AsyncIterator[Session]:
    """Open a session."""
    async with session(2) as opened:
        yield opened


@pytest.fixture(params=PAIRS)
async def scene(request: pytest.FixtureRequest, http: Session) -> AsyncIterator[Scene]:
    """Return each exchange in turn, its listing read."""
    name = str(request.param)
    async with running(PAIRS[name][1](now=lambda: NOW)) as venue:
        scene = Scene(name, venue, http)
        assert await scene.exchange.read_listing() is None
        scene.asked()
        yield scene


@pytest.fixture
def only(http: Session) -> Callable[[Venue, str], Scene]:
    """Return what makes a scene of one exchange."""
    return lambda venue, name: Scene(name, venue, http)


async def test_every_digit_arrives_as_it_left(scene: Scene) -> None:
    """Price, base volume and time of each pair, the smallest number too; the time by the exchange where it says one."""
    answers = await scene.ask(*ASSETS)
    assert len(answers) == len(QUOTES)
    for quote in QUOTES:
        ticker = answers[quote.symbol]
        assert isinstance(ticker, Ticker), ticker
        assert (ticker.exchange, ticker.symbol) == (scene.name, quote.symbol)
        assert (f"{ticker.price:f}", f"{ticker.volume:f}") == (quote.price, quote.volume)
        assert ticker.timestamp == NOW
        assert ticker.clock == (Clock.RECEIPT if scene.name == "kraken" else Clock.EXCHANGE)
    assert len(scene.asked()) == (1 if scene.name in MANY_A_CALL else len(QUOTES))


async def test_who_does_not_trade_a_pair_is_not_asked_for_it(scene: Scene) -> None:
    """It is a reason, found in the listing, and no call."""
    scene.venue.quotes["ethusdt"] = Quote("eth", "usdt", "1", "1", trading=False)
    assert await scene.exchange.read_listing() is None
    scene.asked()
    answers = await scene.ask(NOWHERE, ASSETS[2])
    assert answers == {
        "nosuchcoin": LeftOut(scene.name, Reason.NOT_LISTED, "not in its listing"),
        "ethusdt": LeftOut(scene.name, Reason.NOT_LISTED, "in its listing, but not traded now"),
    }
    assert scene.asked() == []
    trades = [scene.exchange.trades(symbol) for symbol in ("btcusdt", "ethusdt", "nosuchcoin")]
    assert trades == [True, False, False]


async def test_a_pair_delisted_since_is_a_reason_and_costs_only_itself(scene: Scene) -> None:
    """The others of its batch have their tickers, the breaker knows nothing, and the listing is read once more."""
    del scene.venue.quotes["ethusdt"]
    for _ in range(3):
        answers = await scene.ask(*ASSETS)
        left_out = {symbol: one.reason for symbol, one in answers.items() if isinstance(one, LeftOut)}
        assert left_out == {"ethusdt": Reason.NOT_LISTED}
        scene.hands.now += 60
    assert scene.exchange.breaker_state == "closed"
    assert scene.exchange.listing_doubted.is_set()
    assert await scene.exchange.read_listing() is None
    assert not scene.exchange.listing_doubted.is_set()
    scene.asked()
    await scene.ask(*ASSETS)
    assert not any("ETH" in path for path in scene.asked())


async def test_asked_too_often_it_is_left_alone(scene: Scene) -> None:
    """Whatever its way to say so is: for as long as it wants, or a second, and no failure for the breaker."""
    scene.venue.fault = scene.venue.too_often
    assert (await scene.refusal()).reason is Reason.RATE_LIMITED
    quiet = {"binance": 23.0, "bybit": 3.0}.get(scene.name, 1.0)
    assert scene.exchange.quiet_seconds == quiet
    scene.asked()
    assert (await scene.refusal()).detail == f"quiet for another {quiet:.0f} s"
    assert scene.asked() == []
    assert scene.exchange.breaker_state == "closed"
    scene.venue.fault = None
    scene.hands.now += quiet
    assert isinstance((await scene.ask(BTC))["btcusdt"], Ticker)


async def test_maintenance_is_a_reason_of_its_own(scene: Scene) -> None:
    """It counts, so that five such answers are enough for half a minute."""
    scene.venue.fault = scene.venue.maintenance
    for _ in range(5):
        assert scene.exchange.breaker_state == "closed"
        assert (await scene.refusal()).reason is Reason.MAINTENANCE
    assert scene.exchange.breaker_state == "open"
    assert (await scene.refusal()).reason is Reason.BREAKER_OPEN
    scene.venue.fault = None
    scene.hands.now += 30
    for _ in range(2):
        assert isinstance((await scene.ask(BTC))["btcusdt"], Ticker)
    assert scene.exchange.breaker_state == "closed"


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (200, "<html>", Reason.UNDECODABLE),
        (200, "[" * 100_000, Reason.UNDECODABLE),
        (400, "<html>", Reason.NOT_LISTED),
        (400, "[" * 100_000, Reason.NOT_LISTED),
        (500, "{}", Reason.HTTP_ERROR),
        (502, "<html>Bad gateway</html>", Reason.HTTP_ERROR),
    ],
)
async def test_what_its_documentation_does_not_know(scene: Scene, status: int, text: str, reason: Reason) -> None:
    """A page of somebody's proxy, or nonsense: a reason by the status, never a crash."""
    scene.venue.fault = lambda _: web.Response(status=status, text=text)
    assert (await scene.refusal()).reason is reason


def half(_: web.Request) -> web.Response:
    """Begin an answer and hang up; a `Fault`."""
    answer = web.Response(body=b"{", headers={"Content-Length": "100"})
    answer.force_close()
    return answer


async def test_half_an_answer_and_none(scene: Scene) -> None:
    """A connection cut in the middle of the listing leaves what is known; the next reading succeeds."""
    scene.venue.fault = half
    assert await scene.exchange.read_listing() is not None
    assert (await scene.refusal()).reason is Reason.UNREACHABLE
    scene.venue.fault = None
    assert scene.exchange.trades("btcusdt")
    assert await scene.exchange.read_listing() is None
    assert isinstance((await scene.ask(BTC))["btcusdt"], Ticker)


async def test_an_empty_listing_says_nothing(scene: Scene) -> None:
    """An exchange that lists no pair at all has made a mistake, and what is known stays."""
    scene.venue.quotes.clear()
    assert await scene.exchange.read_listing() is None
    assert scene.exchange.trades("btcusdt")


async def test_without_a_listing_it_is_asked_for_everything(scene: Scene, http: Session) -> None:
    """By the names its dialect makes of base and quote; for the oldest pairs Kraken answers by other ones."""
    blind = Scene(scene.name, scene.venue, http)
    answers = await blind.ask(*ASSETS)
    prices = {symbol: one.price for symbol, one in answers.items() if isinstance(one, Ticker)}
    assert prices == {quote.symbol: Decimal(quote.price) for quote in QUOTES}
    assert blind.exchange.trades("btcusdt") is None
    assert (await blind.refusal(NOWHERE)).reason is Reason.NOT_LISTED
    assert blind.exchange.breaker_state == "closed"


async def test_listings_are_read_again(scene: Scene) -> None:
    """Once a day, here every few milliseconds: what is new is asked for from then on."""
    new = Asset("solusdt", "sol", "usdt", Tier.HOT, 9)
    assert (await scene.refusal(new)).reason is Reason.NOT_LISTED
    assert Listings([])._every == 24 * 3600
    listings = Listings([scene.exchange], every=0.01)
    await listings.open()
    keeping = asyncio.create_task(listings.run())
    scene.venue.quotes["solusdt"] = Quote("sol", "usdt", "150.25", "1000")
    async with asyncio.timeout(10):
        while not scene.exchange.trades("solusdt"):
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert isinstance((await scene.ask(new))["solusdt"], Ticker)


async def test_a_listing_that_is_wrong_is_read_again(scene: Scene) -> None:
    """Long before the day is over: a pair that it has and the exchange refuses is looked up, and asked for no more."""
    listings = Listings([scene.exchange], rest=0.01)
    await listings.open()
    keeping = asyncio.create_task(listings.run())
    del scene.venue.quotes["ethusdt"]
    async with asyncio.timeout(10):
        while scene.exchange.trades("ethusdt"):
            await scene.ask(*ASSETS)
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert (await scene.refusal(ASSETS[2])).detail == "not in its listing"


async def test_a_listing_that_cannot_be_read_is_tried_again(scene: Scene, http: Session) -> None:
    """The start goes on without; until then everything is asked for."""
    late = Scene(scene.name, scene.venue, http)
    scene.venue.fault = lambda _: web.Response(status=500)
    listings = Listings([late.exchange], retry=0.01)
    await listings.open()
    assert late.exchange.trades("btcusdt") is None
    keeping = asyncio.create_task(listings.run())
    scene.venue.fault = None
    async with asyncio.timeout(10):
        while late.exchange.trades("btcusdt") is None:
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_the_pages_are_named(scene: Scene) -> None:
    """Each local exchange says what it was written from."""
    assert len(scene.venue.pages) >= 3
    assert all(page.startswith("https://") for page in scene.venue.pages)


async def test_binance_is_not_asked_into_the_ground(only: Callable[[Venue, str], Scene]) -> None:
    """It says how much of the minute's weight is used, by whomever at our address: the last of it is not ours."""
    venue = BinanceVenue(now=lambda: NOW)
    async with running(venue):
        scene = only(venue, "binance")
        venue.used = 5_800
        assert isinstance((await scene.ask(BTC))["btcusdt"], Ticker)
        assert scene.exchange.quiet_seconds == 60 - NOW % 60
        assert (await scene.refusal()).reason is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    ("name", "fault", "seconds"), [("binance", "banned", 7200), ("bybit", "banned", 600), ("kraken", "throttled", 42)]
)
async def test_a_ban_is_sat_out(only: Callable[[Venue, str], Scene], name: str, fault: str, seconds: float) -> None:
    """To the end, as asking meanwhile makes it longer."""
    async with running(PAIRS[name][1](now=lambda: NOW)) as venue:
        scene = only(venue, name)
        venue.fault = getattr(venue, fault)
        assert (await scene.refusal()).reason is Reason.RATE_LIMITED
        assert scene.exchange.quiet_seconds == seconds


async def test_binance_weighs_twenty_symbols_like_one(only: Callable[[Venue, str], Scene]) -> None:
    """So a call has that many, and its cost is what Binance counts."""
    quotes = [Quote(f"coin{number}", "usdt", "1.5", "10") for number in range(45)]
    venue = BinanceVenue(quotes, now=lambda: NOW)
    async with running(venue):
        scene = only(venue, "binance")
        answers = await scene.ask(*(Asset(one.symbol, "", "", Tier.COLD, 0) for one in quotes))
        assert all(isinstance(one, Ticker) for one in answers.values())
        assert len(venue.asked) == 3
        assert venue.used == 3 * scene.exchange._cost(20)


async def test_its_limits_are_kept(only: Callable[[Venue, str], Scene]) -> None:
    """By weight, the listing's too: cold assets take three quarters at most, hot ones the rest; then it is a reason."""
    venue = BinanceVenue(now=lambda: NOW)
    async with running(venue):
        scene = only(venue, "binance")
        scene.exchange._allowance = RateLimiter(Bucket(0.001, 48), patience=0.01)
        assert await scene.exchange.read_listing() is None
        cold = Asset("btcusdt", "btc", "usdt", Tier.COLD, 9)
        for asset, calls in ((cold, 8), (BTC, 6)):  # 36 - 20 of weight, and what is left of 48 - 20
            scene.asked()
            for _ in range(calls):
                assert isinstance((await scene.ask(asset))["btcusdt"], Ticker)
            left_out = await scene.refusal(asset)
            assert (left_out.reason, left_out.detail) == (
                Reason.RATE_LIMITED,
                "within its own limit, no turn in 0.01 s",
            )
            assert len(scene.asked()) == calls
        assert await scene.exchange.read_listing() is not None
        assert scene.exchange.quiet_seconds == 0  # which is for what the exchange says
        assert scene.exchange.breaker_state == "closed"


async def test_one_bad_ticker_in_a_batch_costs_only_itself(only: Callable[[Venue, str], Scene]) -> None:
    """Where many come in one answer, each is read by itself."""
    for name in MANY_A_CALL:
        async with running(PAIRS[name][1](now=lambda: NOW)) as venue:
            venue.quotes["ethusdt"] = Quote("eth", "usdt", "1", "much")
            answers = await only(venue, name).ask(*ASSETS)
            assert {symbol: one.reason for symbol, one in answers.items() if isinstance(one, LeftOut)} == {
                "ethusdt": Reason.UNDECODABLE
            }
