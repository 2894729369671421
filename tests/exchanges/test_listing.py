"""The listings of the local venues: calls without one, and when a listing is read again."""

import asyncio
from decimal import Decimal

import pytest
from aiohttp import web

from aggregator.exchanges.http import Session
from aggregator.exchanges.listing import Listings
from aggregator.models import Asset, Reason, Ticker, Tier
from tests.exchanges.polled import ASSETS, NOWHERE, Scene
from tests.exchanges.venues.base import QUOTES, Quote
from tests.parts.limits import allowed

pytestmark = pytest.mark.real


async def test_an_empty_listing_is_ignored(scene: Scene) -> None:
    """An empty listing is taken for a mistake, and the one before stays in use."""
    scene.venue.quotes.clear()
    assert await scene.exchange.read_listing() is None
    assert scene.exchange.trades("btcusdt")


async def test_without_a_listing_every_pair_is_tried(scene: Scene, http: Session) -> None:
    """Every pair is tried by the dialect's name; Kraken answers for the oldest pairs by other names."""
    blind = Scene(scene.name, scene.venue, http)
    answers = await blind.ask(*ASSETS)
    prices = {symbol: one.price for symbol, one in answers.items() if isinstance(one, Ticker)}
    assert prices == {quote.symbol: Decimal(quote.price) for quote in QUOTES}
    assert blind.exchange.trades("btcusdt") is None
    assert (await blind.refusal(NOWHERE)).reason is Reason.NOT_LISTED
    assert blind.exchange.breaker_state == "closed"


async def test_listings_are_read_again(scene: Scene) -> None:
    """Once a day (here every few milliseconds), and new pairs are asked for from then on."""
    new = Asset("solusdt", "sol", "usdt", Tier.HOT, 9)
    assert (await scene.refusal(new)).reason is Reason.NOT_LISTED
    assert Listings([])._every == 24 * 3600
    listings = Listings([scene.exchange], every=0.01)
    await listings.open()
    keeping = asyncio.create_task(listings.run())
    scene.venue.quotes["solusdt"] = Quote("sol", "usdt", "150.25", "1000")
    async with asyncio.timeout(allowed(10)):
        while not scene.exchange.trades("solusdt"):
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert isinstance((await scene.ask(new))["solusdt"], Ticker)


async def test_a_listing_that_is_wrong_is_read_again(scene: Scene) -> None:
    """A pair in the listing that the venue refuses makes it read again at once; the pair is not asked for any more."""
    listings = Listings([scene.exchange], spacing=0.01)
    await listings.open()
    keeping = asyncio.create_task(listings.run())
    del scene.venue.quotes["ethusdt"]
    async with asyncio.timeout(allowed(10)):
        while scene.exchange.trades("ethusdt"):
            await scene.ask(*ASSETS)
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert (await scene.refusal(ASSETS[2])).detail == "not in its listing"


async def test_a_listing_that_cannot_be_read_is_tried_again(scene: Scene, http: Session) -> None:
    """The start goes on without it; until it is read, every pair is tried."""
    late = Scene(scene.name, scene.venue, http)
    scene.venue.fault = lambda _: web.Response(status=500)
    listings = Listings([late.exchange], retry=0.01)
    await listings.open()
    assert late.exchange.trades("btcusdt") is None
    keeping = asyncio.create_task(listings.run())
    scene.venue.fault = None
    async with asyncio.timeout(allowed(10)):
        while late.exchange.trades("btcusdt") is None:
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
