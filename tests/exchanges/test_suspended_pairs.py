"""A listing with suspended pairs, as of a venue in maintenance, is read again sooner than once a day."""

import asyncio
import math

from aggregator.errors import ExchangeError
from aggregator.exchanges.dialect import Market
from aggregator.exchanges.listing import Listing, Listings, SuspensionPauses
from aggregator.models import Asset, Tier
from tests.parts import virtual_time
from tests.parts.examples import BTC

OLD = Asset("oldusdt", "old", "usdt", Tier.COLD, 7)


class Suspending:
    """An exchange that suspends a pair until a time, and has given up another one; keeps when its listing was read."""

    name = "exchange1"

    def __init__(self, until: float) -> None:
        self.listing = Listing(lambda asset: asset.symbol)
        self.listing_doubted = asyncio.Event()
        self.until = until
        self.read_at: list[float] = []

    async def read_listing(self) -> ExchangeError | None:
        """Read it at once."""
        now = asyncio.get_running_loop().time()
        self.read_at.append(now)
        btc, old = Market("btcusdt", "BTC", trading=now >= self.until), Market("oldusdt", "OLD", trading=False)
        self.listing.replace([btc, old])
        return None

    async def ask(self, *assets: Asset) -> None:
        """Ask for these assets every minute."""
        while True:
            self.listing.sort(assets)
            await asyncio.sleep(60)


def reads(exchange: Suspending, asset: Asset, seconds: float) -> list[int]:
    """Return when, in full seconds, the listing is read in so many seconds in which the asset is asked for."""

    async def story() -> None:
        listings = Listings([exchange])
        await listings.open()
        running = [asyncio.create_task(one) for one in (listings.run(), exchange.ask(asset))]
        await asyncio.sleep(seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    virtual_time.run(story())
    return list(map(round, exchange.read_at))


def test_a_listing_that_was_read_during_maintenance_is_read_again() -> None:
    """A venue that was closed when its listing was read is asked for tickers again a quarter of an hour later."""
    exchange = Suspending(until=600)
    assert reads(exchange, BTC, 86_000) == [0, 900]
    assert exchange.listing.trades("btcusdt")


def test_the_pauses_of_a_listing_with_suspended_pairs_grow() -> None:
    """A pair that the venue has given up costs a few calls a day, and one that is not asked for none."""
    assert reads(Suspending(until=0), OLD, 86_000) == [0, 900, 2700, 6300, 13_500, 27_900, 56_700]
    assert reads(Suspending(until=0), BTC, 86_000) == [0]


def test_another_suspended_pair_restarts_the_pauses() -> None:
    """Up to then, and after all pairs are traded again, they double."""
    pauses = SuspensionPauses(900)
    seconds = []
    for suspended in ({"a"}, {"a"}, {"a", "b"}, {"a", "b"}, {"b"}, set[str](), {"b"}):
        seconds.append(pauses.seconds(suspended))
        pauses.end(suspended)
    assert seconds == [900, 1800, 900, 1800, 3600, math.inf, 900]
