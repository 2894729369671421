"""The features of each asset at the last trade of each minute, for the archive."""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from aggregator.models import encode
from aggregator.trades.features import AssetFeatures, Features
from aggregator.trades.ports import StoredEvent

MINUTE = 60
_ID = "1m"  # a minute has one event
_LOOK_SECONDS = 5.0
_GRACE_SECONDS = 10.0  # after the end of a minute, by our clock


class Closes(Protocol):
    """Learns of new trades before they are measured."""

    def end_of(self, asset: str, /) -> float:
        """Return the time from which a trade of the asset needs `roll`, in unix seconds."""

    def roll(self, timestamp: float, operator: AssetFeatures | None, /) -> float:
        """End the minute of the trades that `operator` has; return the end of the one that a new trade begins."""

    def begun(self, asset: str, end: float, operator: AssetFeatures, /) -> None:
        """Note the end of the minute under way of an asset with new trades."""

    def forget(self, asset: str, /) -> None:
        """Forget an asset: another process has it now."""


class _NoCloses:
    """`Closes` of a process that archives nothing."""

    def end_of(self, _: str, /) -> float:
        """As `Closes.end_of`: never."""
        return math.inf

    def roll(self, _: float, __: AssetFeatures | None, /) -> float:
        """As `Closes.roll`."""
        return math.inf

    def begun(self, _: str, __: float, ___: AssetFeatures, /) -> None:
        """As `Closes.begun`."""

    def forget(self, _: str, /) -> None:
        """As `Closes.forget`."""


NO_CLOSES: Closes = _NoCloses()


class MinuteCloses:
    """Gives the features of each minute that is over to `put`. `now` is unix seconds.

    A minute is over with the first trade of a later one, or ten seconds after its end. If more trades of it come then,
    as in a replay, its features are given again.
    """

    def __init__(self, put: Callable[[Sequence[Features]], None], now: Callable[[], float]) -> None:
        self._put = put
        self._now = now
        self._open: dict[str, tuple[float, AssetFeatures]] = {}  # the end of the minute under way, by asset
        self._given: dict[str, tuple[float, int]] = {}  # the last trade and the number of trades that were given

    def end_of(self, asset: str) -> float:
        """As `Closes.end_of`."""
        found = self._open.get(asset)
        return -math.inf if found is None else found[0]

    def roll(self, timestamp: float, operator: AssetFeatures | None) -> float:
        """As `Closes.roll`."""
        if operator is not None:
            self._give([operator.values(self._now())])
        return timestamp // MINUTE * MINUTE + MINUTE

    def begun(self, asset: str, end: float, operator: AssetFeatures) -> None:
        """As `Closes.begun`."""
        self._open[asset] = end, operator

    def forget(self, asset: str) -> None:
        """As `Closes.forget`."""
        self._open.pop(asset, None)
        self._given.pop(asset, None)

    async def run(self) -> None:
        """End the minutes of assets without later trades; never returns."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.end(self._now() - _GRACE_SECONDS)

    def end(self, before: float = math.inf) -> None:
        """End the minutes whose ends are before a time."""
        over = {asset: operator for asset, (end, operator) in self._open.items() if end < before}
        now = self._now()
        self._give([operator.values(now) for operator in over.values()])
        for asset in over:
            del self._open[asset]

    def _give(self, closes: Sequence[Features]) -> None:
        """Give features, unless they were given: an old range of the archive would be written again for nothing."""
        new = [one for one in closes if self._given.get(one.asset) != (one.window_end, one.trade_frequency)]
        self._given.update((one.asset, (one.window_end, one.trade_frequency)) for one in new)
        self._put(new)


def stored_close(features: Features) -> StoredEvent:
    """Return the event of a minute; its time is the start of the minute."""
    body: dict[str, Any] = msgspec.structs.asdict(features)
    return StoredEvent(features.asset, features.window_end // MINUTE * MINUTE, _ID, encode(body))
