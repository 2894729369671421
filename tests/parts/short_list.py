"""A short list of assets, for services that must start quickly."""

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tests.parts.process import wait_for
from tests.parts.service import Service

SYMBOLS = ("btcusdt", "ethusdt", "solusdt", "xrpusdt", "bnbusdt", "dogeusdt", "adausdt")
HOT, MEDIUM, COLD = SYMBOLS[:3], SYMBOLS[3:5], SYMBOLS[5:]
SIZES = {"hot_size": len(HOT), "medium_size": len(MEDIUM)}
# Short intervals; each tier is one job, so one interval is one call to each exchange.
INTERVALS = {"hot_interval": 0.5, "medium_interval": 1, "cold_interval": 2}
EVENLY = sum(1 / interval for interval in INTERVALS.values())  # calls per second to each exchange
CALLS = 'price_exchange_requests_total{exchange="exchange1"}'


def write_symbols(folder: Path, *, with_sides: bool = False) -> Path:
    """Write the assets to a symbols file, with or without base and quote; return its path."""
    file = folder / "symbols.csv"
    sides = ["symbol,base,quote", *(f"{symbol},{symbol[:-4]},{symbol[-4:]}" for symbol in SYMBOLS)]
    file.write_text("\n".join(sides if with_sides else ["symbol", *SYMBOLS]))
    return file


def timestamp(service: Service, symbol: str) -> Decimal:
    """Return the timestamp of the price that is served now; 0 while none is.

    With the short intervals here, a hot price expires after three seconds in which a busy machine refreshes nothing.
    """
    answer = service.get(f"/prices/{symbol}")
    return answer.json["timestamp"] if answer.status == 200 else Decimal()


def rate(count: Callable[[], float], events: int) -> float:
    """Wait until `count` has grown by `events`; return the growth per second."""
    before, started = count(), time.monotonic()
    wait_for(lambda: count() >= before + events, what=f"{events} more")
    return (count() - before) / (time.monotonic() - started)
