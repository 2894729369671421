"""Each dialect against the exchange it is for, as that one's documentation describes it: the real client, over HTTP.

Nothing here was captured from an exchange; the pages the answers are written from are named in `venues/`.
"""

from collections.abc import Callable

import pytest
from aiohttp import web

from aggregator.exchanges.registry import VENUES
from aggregator.models import LeftOut, Reason, Ticker
from tests.exchanges.polled import ASSETS, BTC, MANY_A_CALL, NOWHERE, Scene
from tests.exchanges.venues.base import QUOTES, Quote, Venue, running
from tests.exchanges.venues.servers import SERVERS
from tests.parts.examples import NOW

pytestmark = pytest.mark.real


async def test_every_digit_arrives_as_it_left(scene: Scene) -> None:
    """Price, base volume and time of each pair; the time is of the clock that the registry names."""
    answers = await scene.ask(*ASSETS)
    assert len(answers) == len(QUOTES)
    for quote in QUOTES:
        ticker = answers[quote.symbol]
        assert isinstance(ticker, Ticker), ticker
        assert (ticker.exchange, ticker.symbol) == (scene.name, quote.symbol)
        assert (f"{ticker.price:f}", f"{ticker.volume:f}") == (quote.price, quote.volume)
        assert ticker.timestamp == NOW
        assert ticker.clock == VENUES[scene.name].clock
    assert len(scene.asked()) == (1 if scene.name in MANY_A_CALL else len(QUOTES))


async def test_a_pair_that_is_not_traded_is_not_asked_for(scene: Scene) -> None:
    """The listing gives the reason without a call."""
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
    """The rest of its batch has tickers, the breaker stays closed, and the listing is read once more.

    Until then the venue lists the pair and refuses it, so the price is degraded.
    """
    del scene.venue.quotes["ethusdt"]
    for attempt in range(3):
        scene.asked()
        answers = await scene.ask(*ASSETS)
        if attempt:  # the refused one is asked for alone
            assert len(scene.asked()) == (2 if scene.name in MANY_A_CALL else len(ASSETS))
        left_out = {symbol: one.reason for symbol, one in answers.items() if isinstance(one, LeftOut)}
        assert left_out == {"ethusdt": Reason.HTTP_ERROR}
        scene.hands.now += 60
    assert scene.exchange.breaker_state == "closed"
    assert scene.exchange.listing_doubted.is_set()
    assert await scene.exchange.read_listing() is None
    assert not scene.exchange.listing_doubted.is_set()
    scene.asked()
    await scene.ask(*ASSETS)
    assert not any("ETH" in path.upper() for path in scene.asked())


async def test_maintenance_is_a_reason_of_its_own(scene: Scene) -> None:
    """It counts as a failure: five of them open the breaker for half a minute."""
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
        (400, "<html>", Reason.HTTP_ERROR),
        (400, "[" * 100_000, Reason.HTTP_ERROR),
        (500, "{}", Reason.HTTP_ERROR),
        (502, "<html>Bad gateway</html>", Reason.HTTP_ERROR),
    ],
)
async def test_answers_that_are_not_documented(scene: Scene, status: int, text: str, reason: Reason) -> None:
    """A proxy's page or nonsense gets a reason by its status."""
    scene.venue.fault = lambda _: web.Response(status=status, text=text)
    assert (await scene.refusal()).reason is reason


def half(_: web.Request) -> web.Response:
    """Begin an answer and close the connection; a `Fault`."""
    answer = web.Response(body=b"{", headers={"Content-Length": "100"})
    answer.force_close()
    return answer


async def test_a_cut_answer(scene: Scene) -> None:
    """A cut listing leaves the one before in use, and the next reading succeeds."""
    scene.venue.fault = half
    assert await scene.exchange.read_listing() is not None
    assert (await scene.refusal()).reason is Reason.UNREACHABLE
    scene.venue.fault = None
    assert scene.exchange.trades("btcusdt")
    assert await scene.exchange.read_listing() is None
    assert isinstance((await scene.ask(BTC))["btcusdt"], Ticker)


async def test_the_pages_are_named(scene: Scene) -> None:
    """Each local venue names the pages from which it was written."""
    assert len(scene.venue.pages) >= 3
    assert all(page.startswith("https://") for page in scene.venue.pages)


async def test_one_bad_ticker_in_a_batch_costs_only_itself(only: Callable[[Venue, str], Scene]) -> None:
    """Of several tickers in one answer, each is decoded by itself."""
    for name in MANY_A_CALL:
        async with running(SERVERS[name](now=lambda: NOW)) as venue:
            venue.quotes["ethusdt"] = Quote("eth", "usdt", "1", "much")
            answers = await only(venue, name).ask(*ASSETS)
            assert {symbol: one.reason for symbol, one in answers.items() if isinstance(one, LeftOut)} == {
                "ethusdt": Reason.UNDECODABLE
            }
