"""Keeps the last day of prices of every asset, for the 24-hour figures: read from history once, then from the bus.

    start  -> every asset is unread; history is read in the background, the hottest assets first
    read   -> the bus keeps it current; its figures are exact
    cut    -> the bus is disconnected: prices may be missing, so there are no figures
    again  -> history is read from the newest price on that was known before

History is written before the bus is told of a price. So a price that a read of history misses comes from the bus. The
exception is a price that waits in the outbox of another process during the read and was published before this process
was connected. Therefore the newest part is read again a minute later.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from aggregator.errors import StoreError
from aggregator.models import FUTURE_TOLERANCE, Price, Tier
from aggregator.ports import History
from aggregator.prices.day_figures import BUCKET, Figures, MissingFigures, PriceDay, Window, figures, window_start
from aggregator.prices.day_reader import DayReader
from aggregator.prices.tiers import Catalog
from aggregator.resilience.backoff import Backoff

_MOST_FINE = 20_000  # assets; with more, a bucket of five minutes would take too much memory
_COARSE_BUCKET = 3600.0  # seconds, for more assets than that
_OUTBOX_SECONDS = 60.0  # in which an outbox has sent a price, unless its table is away
_SPARK_POINTS = 50  # of a sparkline: one for each half hour of a day
_LONGEST_PAUSE = 30.0  # seconds between attempts while history cannot be read


class FiguresKeeper:
    """A listener of the bus that returns the figures of a price.

    It takes some 10 KB for each asset that is refreshed every five minutes or more often. With more than 20,000 assets
    the window begins at a full hour of UTC, which takes some 1.3 KB.

    `now` is unix seconds, `clock` monotonic time.
    """

    def __init__(
        self,
        catalog: Catalog,
        history: History,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._now = now
        self._clock = clock
        self._bucket = BUCKET if len(catalog.assets) <= _MOST_FINE else _COARSE_BUCKET
        self._reader = DayReader(history, self._bucket, now, clock)
        self._days: dict[str, PriceDay] = {}
        self._made: dict[str, _Made] = {}  # the last figures that were returned, by symbol
        # By symbol, the time from which on history is still to be read; minus infinity stands for a whole day.
        self._unread = {asset.symbol: -math.inf for tier in Tier for asset in catalog.of(tier)}
        self._reading = ""  # the symbol that is being read
        self._again: dict[str, tuple[float, float]] = {}  # what to read again: when (monotonic), and from what time on
        self._failed: set[str] = set()  # symbols whose last read has failed
        self._is_cut = False
        self._work = asyncio.Event()
        self._log = structlog.get_logger()

    def of(self, price: Price) -> Figures:
        """Return the figures at `price`, or its volume and why there are no others. Never waits.

        While they do not change, they are the same object.
        """
        now = self._now()
        window, since = self._window(price.asset, now), window_start(now, self._bucket)
        made = self._made.get(price.asset)
        if made is None or made.price is not price or made.window is not window or made.figures.figures_since != since:
            made = self._made[price.asset] = _Made(price, window, figures(price, window, since))
        return made.figures

    def sparkline(self, symbol: str, now: float) -> tuple[list[tuple[float, float]], MissingFigures | None]:
        """Return about 50 known prices of the last day with their times, and why the day is not complete."""
        window = self._window(symbol, now)
        day = self._days.get(symbol)
        return [] if day is None else day.sparkline(now, _SPARK_POINTS), window if isinstance(
            window, MissingFigures
        ) else None

    def receive(self, prices: Sequence[Price]) -> None:
        """Add new prices. A price that is ahead of our clock, or of an asset that is not listed, is ignored."""
        latest = self._now() + FUTURE_TOLERANCE
        for price in prices:
            if price.timestamp <= latest and self._catalog.find(price.asset) is not None:
                self._day(price.asset).add(price.timestamp, price.price)

    def connected(self) -> None:
        """Read from history what other processes have published before the bus was connected."""
        self._is_cut = False
        self._mark_unread()

    def disconnected(self) -> None:
        """Return no figures from now on."""
        self._is_cut = True
        self._mark_unread()

    async def run(self) -> None:
        """Read what is unread, one asset at a time; never returns."""
        backoff = Backoff(_LONGEST_PAUSE)
        began = self._clock()
        while True:
            if not self._unread or self._is_cut:
                await self._read_again()
                began = self._clock()
            elif await self._read_next():
                backoff = Backoff(_LONGEST_PAUSE)
                if not self._unread:
                    self._log.info("figures_read", assets=len(self._days), seconds=round(self._clock() - began, 1))
            else:
                await backoff.pause()

    def _window(self, symbol: str, now: float) -> Window | MissingFigures:
        if self._is_cut:
            return MissingFigures.CUT_OFF
        if symbol in self._failed:
            return MissingFigures.HISTORY_UNAVAILABLE
        if symbol in self._unread or symbol == self._reading:
            return MissingFigures.LOADING
        day = self._days.get(symbol)
        window = None if day is None else day.window(now)
        return MissingFigures.HISTORY_TOO_YOUNG if window is None else window

    def _day(self, symbol: str) -> PriceDay:
        day = self._days.get(symbol)
        if day is None:
            day = self._days[symbol] = PriceDay(self._bucket)
        return day

    def _mark_unread(self) -> None:
        """Mark every asset as unread from its newest price on, or from an earlier time if that is still to be read."""
        for symbol, day in self._days.items():
            self._put_back(symbol, day.newest)
        self._work.set()

    def _put_back(self, symbol: str, start: float) -> None:
        self._unread[symbol] = min(start, self._unread.get(symbol, math.inf))

    async def _read_next(self) -> bool:
        """Read the first unread asset; return whether that succeeded. After a failure it is the last unread one."""
        symbol, start = next(iter(self._unread.items()))
        del self._unread[symbol]
        self._reading = symbol
        newest_part = self._now() - self._catalog.cadence[self._catalog.assets[symbol].tier].max_age - _OUTBOX_SECONDS
        try:
            await self._reader.read(symbol, start, self._day(symbol))
        except StoreError as error:
            self._put_back(symbol, start)
            if not self._failed:
                self._log.warning("figures_unread", asset=symbol, error=str(error))
            self._failed.add(symbol)
            return False
        finally:
            self._reading = ""
        self._failed.discard(symbol)
        self._put_off(symbol, newest_part)
        return True

    def _put_off(self, symbol: str, start: float) -> None:
        self._again.pop(symbol, None)  # so that the dict stays in order of time
        self._again[symbol] = (self._clock() + _OUTBOX_SECONDS, start)

    async def _read_again(self) -> None:
        """Read the newest part of an asset again if that is due; otherwise wait until it is, or for other work."""
        symbol, (due, start) = next(iter(self._again.items()), ("", (math.inf, 0.0)))
        pause = math.inf if self._is_cut else due - self._clock()
        if pause > 0:
            self._work.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if pause == math.inf else pause):
                    await self._work.wait()
            return
        del self._again[symbol]
        try:
            await self._reader.read(symbol, start, self._day(symbol))
        except StoreError:
            self._put_off(symbol, start)


class _Made(msgspec.Struct, frozen=True):
    """Figures and what they were made of."""

    price: Price
    window: Window | MissingFigures
    figures: Figures
