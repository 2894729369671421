"""Snapshots of the topics trades and features: the current values of all assets, however long ago they changed.

The kept events would not do: at thousands of trades a second they reach back less than a second.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from aggregator.api.trades.hot_trades import HotBodies, HotTrades
from aggregator.live.snapshots import SnapshotSource
from aggregator.live.subscriber import Subscription
from aggregator.models import Trade
from aggregator.prices.tiers import Catalog
from aggregator.trades.features import Features
from aggregator.trades.topics import FEATURES, TRADES

_MOST_IN_PART = 1000  # values


Settled = Callable[[], Awaitable[None]]


def trade_snapshots(catalog: Catalog, hot: HotTrades, settled: Settled) -> Mapping[str, SnapshotSource]:
    """Return the snapshot sources by topic. `settled` waits until the current values are known, if it takes time."""
    return {
        TRADES.name: _Snapshots(catalog, hot.trades, settled),
        FEATURES.name: _Snapshots(catalog, hot.feature_events, settled),
    }


class _Snapshots:
    """The snapshot source of one topic, from bodies that are encoded once per change."""

    def __init__(self, catalog: Catalog, bodies: HotBodies[Trade] | HotBodies[Features], settled: Settled) -> None:
        self._catalog = catalog
        self._bodies = bodies
        self._settled = settled

    async def read(self, subscription: Subscription) -> Callable[[], Sequence[bytes]]:
        """As `SnapshotSource.read`."""
        await self._settled()
        return partial(self._arrays, subscription)

    def _arrays(self, subscription: Subscription) -> Sequence[bytes]:
        tiers, names = subscription.tiers, subscription.assets
        if tiers:
            symbols = [one.symbol for one in self._catalog.assets.values() if one.tier in tiers or one.symbol in names]
        else:
            symbols = sorted(name for name in names if self._catalog.find(name) is not None)
        bodies = [reply.raw for symbol in symbols if (reply := self._bodies.of(symbol)) is not None]
        firsts = range(0, max(1, len(bodies)), _MOST_IN_PART)
        return [b"[%b]" % b",".join(bodies[first : first + _MOST_IN_PART]) for first in firsts]
