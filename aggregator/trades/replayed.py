"""The records of an asset that the next owner of a partition reads again. Pure."""

from collections.abc import Sequence

import msgspec

from aggregator.models import Trade
from aggregator.trades.event_log.partition import Assignment
from aggregator.trades.features import FIVE_MINUTES, MINUTE, PRIOR_VOLUMES


class Replayed(msgspec.Struct):
    """The trades of an asset that were read again, of the time for which these are all.

    Only trades count that the window has taken: a record may be too late, or the same trade once more.
    """

    assignment: Assignment
    oldest: float = 0.0
    newest: float = 0.0
    volumes: int = 0

    def add(self, trades: Sequence[Trade]) -> None:
        """Note trades that were read again, and that the window has taken."""
        exact = [trade for trade in trades if trade.timestamp >= self.assignment.exact_since]
        if exact:
            times = [trade.timestamp for trade in exact]
            self.oldest = min(self.oldest or times[0], *times)
            self.newest = max(self.newest, *times)
            self.volumes += sum(trade.volume is not None for trade in exact)

    @property
    def is_complete(self) -> bool:
        """Whether they have everything that the features of the asset depend on."""
        since = self.newest - FIVE_MINUTES
        return (
            since >= self.assignment.exact_since
            and self.volumes > PRIOR_VOLUMES
            and self.oldest <= self.newest - MINUTE
        )
