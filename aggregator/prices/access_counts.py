"""How often each asset is asked for."""

from collections.abc import Callable

from aggregator.models import Asset
from aggregator.observability.metrics import Metrics

_Counter = tuple[Asset, Callable[[float], None]]  # the asset as it was when the counter was made


class AccessCounts:
    """Counts reads: for the metrics, where only hot assets have a name, and by symbol for who ranks by popularity."""

    def __init__(self, metrics: Metrics, *, by_symbol: bool = False) -> None:
        self._metrics = metrics
        self._counters: dict[str, _Counter] = {}
        self._counts: dict[str, int] = {}
        self._by_symbol = by_symbol

    def record(self, asset: Asset, count: int = 1) -> None:
        """Count reads."""
        symbol = asset.symbol
        known = self._counters.get(symbol)
        if known is None or known[0] is not asset:  # new, or in another tier than before
            known = self._counters[symbol] = (asset, self._metrics.accesses_of(asset))
        known[1](count)
        if self._by_symbol:
            self._counts[symbol] = self._counts.get(symbol, 0) + count

    def drain(self) -> dict[str, int]:
        """Return the reads by symbol since the last call."""
        counts, self._counts = self._counts, {}
        return counts
