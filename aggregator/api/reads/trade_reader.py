"""Reading from the store of trades for a response: with a time limit, in pages, over a range."""

import msgspec

from aggregator.api.reads.cursors import CursorForm
from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS, Cursor
from aggregator.api.reads.store_time import in_time
from aggregator.api.routing.parameters import LATEST_TIME
from aggregator.api.routing.responses import NO_TRADES, refuse_parameter
from aggregator.models import Trade, TradeKey, trade_key
from aggregator.ports import RangeTooLong
from aggregator.trades.ports import TradeReader


class TradeRange(Cursor, frozen=True, array_like=True):
    """The trades of `asset` from `start` to `end` (unix seconds, inclusive) that come after the key `after`."""

    after: TradeKey | None = None

    @property
    def is_sound(self) -> bool:
        """Whether its times are such as a store may be asked for."""
        last = self.start if self.after is None else self.after.timestamp
        return 0 <= self.start <= self.end <= LATEST_TIME + CLOCK_MARGIN and 0 <= last <= LATEST_TIME


# The longest key has an id of 128 characters, each of which JSON may write as six bytes.
CURSORS = CursorForm(TradeRange, b"trades cursor", 2048)


def rest_of(window: TradeRange, last: Trade) -> TradeRange:
    """Return the part of the range behind `last`."""
    return msgspec.structs.replace(window, after=trade_key(last))


class StoredTrades:
    """Reads stored trades. Raises the response 503 if the store fails, or takes longer than `store_seconds`."""

    def __init__(self, reader: TradeReader, store_seconds: float = STORE_SECONDS) -> None:
        self._reader = reader
        self._store_seconds = store_seconds

    async def page(self, window: TradeRange, limit: int) -> list[Trade]:
        """Return the first trades of the range, at most `limit`. Raises the response 400 if the range is too long."""
        call = self._reader.trades(
            window.asset, window.start, window.end, limit, newest_first=window.newest_first, after=window.after
        )
        try:
            return await in_time(call, self._store_seconds, NO_TRADES)
        except RangeTooLong as error:
            raise refuse_parameter(f"start must be later, or end earlier: {error}") from error

    async def latest(self, symbol: str) -> Trade | None:
        """Return the last trade of an asset, or None if there is none."""
        return (await in_time(self._reader.latest([symbol]), self._store_seconds, NO_TRADES)).get(symbol)
