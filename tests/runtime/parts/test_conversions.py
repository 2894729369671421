"""The conversions that the settings ask for, with the cache of a process."""

from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.models import Price, Ticker, Tier
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.parts.exchanges import open_exchanges
from aggregator.settings.loader import load
from aggregator.stores.two_level_cache import TwoLevelCache
from tests.exchanges.venues.base import Quote, running
from tests.exchanges.venues.servers import SERVERS
from tests.parts.examples import NOW
from tests.parts.scripted import Store

pytestmark = pytest.mark.real


async def test_the_rate_is_known_while_redis_is_away(tmp_path: Path) -> None:
    """The local cache is empty then, but this process has made a price of the rate a moment ago."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol,base,quote\nbtcusd,btc,usd\nusdtusd,usdt,usd\n")
    async with running(SERVERS["binance"]([Quote("btc", "usdt", "100", "5")], now=lambda: NOW)) as venue:
        named = {"exchanges": f"binance=binance+{venue.url}", "conversions": "usdtusd", "symbols_file": str(symbols)}
        settings = load(named | {"hot_size": "2", "medium_size": "1", "exchange_timeout": "30"})
        catalog = catalog_of(settings)
        ttl = {tier: cadence.ttl for tier, cadence in catalog.cadence.items()}
        cache = TwoLevelCache(Store(), NewestPrices(ttl, now=lambda: NOW))
        await cache.write([Price("usdtusd", Decimal("0.5"), NOW - 1, Tier.HOT, Decimal(0), NOW, ())])
        async with AsyncExitStack() as stack:
            metrics = Metrics(CollectorRegistry())
            opened = await open_exchanges(settings, catalog, cache, metrics, stack, now=lambda: NOW)
            answers = await opened.all[0].fetch(catalog.of(Tier.HOT))
    found = answers["btcusd"]
    assert isinstance(found, Ticker), found
    assert found.price == Decimal(50)
