"""A short list of assets, for services that have to start quickly."""

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tests.parts.process import wait_for
from tests.parts.service import Service

SYMBOLS = ("btcusdt", "ethusdt", "solusdt", "xrpusdt", "bnbusdt", "dogeusdt", "adausdt")
HOT, MEDIUM, COLD = SYMBOLS[:3], SYMBOLS[3:5], SYMBOLS[5:]
SIZES = {"hot_size": len(HOT), "medium_size": len(MEDIUM)}
# Short ones; each tier is then one job, so that an interval is a call.
INTERVALS = {"hot_interval": 0.5, "medium_interval": 1, "cold_interval": 2}
EVENLY = sum(1 / interval for interval in INTERVALS.values())  # calls a second to each exchange
CALLS = 'price_exchange_requests_total{exchange="exchange1"}'


def listed(folder: Path) -> Path:
    """Write them into a symbols file."""
    file = folder / "symbols.csv"
    file.write_text("\n".join(["symbol", *SYMBOLS]))
    return file


def timestamp(service: Service, symbol: str) -> Decimal:
    """Return the time of the price served now."""
    found: Decimal = service.get(f"/prices/{symbol}").json["timestamp"]
    return found


def rate(count: Callable[[], float], events: int) -> float:
    """Wait until `count` has grown by `events`; return how many that were a second."""
    before, started = count(), time.monotonic()
    wait_for(lambda: count() >= before + events, what=f"{events} more")
    return (count() - before) / (time.monotonic() - started)
