"""The service with the real exchanges' venue modules, against local servers."""

import importlib.util
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.exchanges.venues.kraken import Kraken
from tests.exchanges.venues.base import QUOTES, Venue, beside
from tests.exchanges.venues.binance import BinanceVenue
from tests.exchanges.venues.coinbase import CoinbaseVenue
from tests.exchanges.venues.kraken import KrakenVenue
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service, refusal

pytestmark = pytest.mark.real


@pytest.fixture
def venues() -> Iterator[dict[str, Venue]]:
    """Run three venues, one of which does not list ethusdt."""
    found: dict[str, Venue] = {"binance": BinanceVenue(), "coinbase": CoinbaseVenue(), "kraken": KrakenVenue()}
    del found["kraken"].quotes["ethusdt"]
    with ExitStack() as stack:
        for venue in found.values():
            stack.enter_context(beside(venue))
        yield found


@pytest.fixture
def service(venues: dict[str, Venue], tmp_path: Path) -> Iterator[Service]:
    """Run the service on them, with every asset in the hot tier."""
    symbols = tmp_path / "symbols.csv"
    rows = ["symbol,base,quote", *(f"{one.symbol},{one.base},{one.quote}" for one in QUOTES), "nosuchcoin,nosuch,coin"]
    symbols.write_text("\n".join(rows))
    exchanges = ",".join(f"{name}={name}+{venue.url}" for name, venue in venues.items())
    service = Service(tmp_path, symbols_file=symbols, exchanges=exchanges, min_sources=3, hot_interval=1, grace=1)
    yield service.started()
    service.process.stop()


def test_prices_of_three_exchanges(service: Service, venues: dict[str, Venue]) -> None:
    """Each asset is requested where it is listed; a price shows if sources are few; no rate limit is exceeded."""
    started = time.monotonic()
    wait_for(lambda: service.get("/prices/pepeusdt").status == 200, what="the first price")
    price = service.get("/prices/pepeusdt/sources").json
    assert price["price"] == Decimal("1.234E-8")
    clocks = {source["exchange"]: source["clock"] for source in price["sources"]}
    assert clocks == {"binance": "exchange", "coinbase": "exchange", "kraken": "receipt"}

    def listed() -> dict[str, tuple[int | None, bool | None]]:
        assets = service.get("/assets").json["assets"]
        return {one["symbol"]: (one.get("venues"), one.get("too_few_venues")) for one in assets}

    traded = {one.symbol: (3, False) for one in QUOTES} | {"ethusdt": (2, True), "nosuchcoin": (0, True)}
    wait_for(lambda: listed() == traded, what="what is traded")
    left_out = {one["exchange"]: one for one in service.post("/refresh/ethusdt").json["left_out"]}
    assert left_out["kraken"]["detail"] == "not in its listing"
    calls = service.metric('price_exchange_requests_total{exchange="kraken"}')
    wait_for(lambda: service.metric('price_exchange_requests_total{exchange="kraken"}') > calls + 2, what="two more")
    bucket = Kraken.rate_limit
    assert bucket is not None
    elapsed = time.monotonic() - started
    earlier = 5  # seconds of calls before the measurement
    assert len(venues["kraken"].asked) <= bucket.burst + bucket.per_second * (elapsed + earlier)
    asked = [path for venue in venues.values() for path in venue.asked]
    assert not [path for path in asked if "NOSUCH" in path]
    assert not [path for path in venues["kraken"].asked if "ETH" in path]


def test_who_asks_no_exchange_knows_what_is_traded(
    venues: dict[str, Venue], redis_running: RedisServer, tmp_path: Path
) -> None:
    """An API-only process knows the listings too, and is ready without a price of an asset that no venue lists."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n")
    exchanges = f"kraken=kraken+{venues['kraken'].url}"
    cache = f"{redis_running.url.rpartition('/')[0]}/11"
    service = Service(tmp_path, symbols_file=symbols, exchanges=exchanges, workers=2, cache_url=cache, hot_interval=1)
    service.started()

    def listed() -> dict[str, tuple[int | None, bool | None]]:
        assets = service.get("/assets").json["assets"]
        return {one["symbol"]: (one.get("venues"), one.get("too_few_venues")) for one in assets}

    wait_for(lambda: listed() == {"btcusdt": (1, False), "ethusdt": (0, True)}, what="what is traded")
    wait_for(lambda: service.get("/ready").status == 200, what="readiness")
    assert service.process.stop() == 0, service.process.output


def test_a_venue_that_tells_no_listing_at_start_costs_no_start(venues: dict[str, Venue], tmp_path: Path) -> None:
    """A venue whose listing cannot be read at the start is logged and asked for all assets; prices come."""
    venues["binance"].fault = venues["binance"].maintenance
    service = Service(tmp_path, exchanges=f"binance=binance+{venues['binance'].url}", hot_interval=1).started()
    service.process.wait_for_line("listing_unread.*reason=maintenance")
    venues["binance"].fault = None
    wait_for(lambda: service.get("/prices/btcusdt").status == 200, what="a price")
    service.process.stop()


@pytest.mark.skipif(importlib.util.find_spec("ccxt") is None, reason="ccxt, an extra, is not installed")
def test_an_exchange_through_ccxt(venues: dict[str, Venue], tmp_path: Path) -> None:
    """An exchange through ccxt works like any other."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol,base,quote\npepeusdt,pepe,usdt\nethusdt,eth,usdt\n")
    exchanges = f"kraken=ccxt:kraken+{venues['kraken'].url}"
    service = Service(tmp_path, symbols_file=symbols, exchanges=exchanges, hot_interval=1).started()
    wait_for(lambda: service.get("/prices/pepeusdt").status == 200, what="a price")
    (source,) = service.get("/prices/pepeusdt/sources").json["sources"]
    assert (source["exchange"], source["clock"]) == ("kraken", "receipt")
    listed = {one["symbol"]: one["too_few_venues"] for one in service.get("/assets").json["assets"]}
    assert listed == {"pepeusdt": False, "ethusdt": True}
    wait_for(lambda: service.get("/ready").status == 200, what="readiness, although no venue lists ethusdt")
    assert service.process.stop() == 0, service.process.output


def test_what_ccxt_does_not_know_stops_the_start(tmp_path: Path) -> None:
    """A name that ccxt does not know, or ccxt not installed, stops the start with one line."""
    said = refusal(tmp_path, exchanges="ccxt:nosuchexchange")
    assert "ccxt knows no exchange 'nosuchexchange'" in said or ".venv/bin/pip install -e '.[ccxt]'" in said
