"""Response bodies of /quotes, /aggregations and /features: encoded once, and again only when their value changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from msgspec.structs import asdict

from aggregator.api.routing.replies import Header, Reply
from aggregator.api.trades.schema import FeaturesAnswer, ModelState, aggregations_of, quote_of
from aggregator.models import Trade, encode
from aggregator.trades.features import Features
from aggregator.trades.ports import LastTrades

T = TypeVar("T")


class HotBodies(Generic[T]):
    """The replies of one route, one for each asset. `find` returns the value of an asset, None if there is none."""

    def __init__(
        self, find: Callable[[str], T | None], encoded: Callable[[T], bytes], vary: Sequence[bytes] = ()
    ) -> None:
        self._find = find
        self._encoded = encoded
        self._shared: list[Header] = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        self._shared += [(b"vary", b", ".join(vary))] if vary else []
        self._made: dict[str, tuple[T, Reply]] = {}

    def of(self, symbol: str) -> Reply | None:
        """Return the reply for an asset; None if there is no value. An equal value may be encoded again."""
        value = self._find(symbol)
        if value is None:
            return None
        made = self._made.get(symbol)
        if made is None or made[0] is not value:
            raw = self._encoded(value)
            headers = [*self._shared, (b"content-length", b"%d" % len(raw))]
            made = self._made[symbol] = value, Reply(200, headers, raw)
        return made[1]


class HotTrades:
    """The hot reads of the trade stream, from what this process knows.

    `vary` has the request headers on which a response may depend. `model` returns the state of an asset's anomaly
    model; None: nothing looks for anomalies.
    """

    def __init__(
        self, live: LastTrades, vary: Sequence[bytes] = (), model: Callable[[str], ModelState] | None = None
    ) -> None:
        self._live = live
        self._model = model
        self.quotes = HotBodies[Trade](live.quote, _quote, vary)
        self.aggregations = HotBodies[Features](live.features, _aggregations, vary)
        self.features = HotBodies[Features](live.features, self._features, vary)
        self.trades = HotBodies[Trade](live.quote, encode)
        """The last trade of each asset as streams show it."""

        self.feature_events = HotBodies[Features](live.features, encode)
        """The features of each asset as streams show them."""

    def quote(self, symbol: str) -> Trade | None:
        """Return the last trade of an asset that this process has seen."""
        return self._live.quote(symbol)

    def _features(self, features: Features) -> bytes:
        state: ModelState = "off" if self._model is None else self._model(features.asset)
        return encode(FeaturesAnswer(**asdict(features), anomaly_model=state))

    @property
    def by_segment(self) -> Mapping[str, HotBodies[Trade] | HotBodies[Features]]:
        """The bodies by the first segment of their path, for the fast path."""
        return {"quotes": self.quotes, "aggregations": self.aggregations, "features": self.features}


def _quote(trade: Trade) -> bytes:
    return encode(quote_of(trade))


def _aggregations(features: Features) -> bytes:
    return encode(aggregations_of(features))
