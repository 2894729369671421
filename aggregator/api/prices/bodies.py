"""Response bodies of prices: encoded once, and again only when their content changes."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import msgspec

from aggregator.api.routing.replies import Header, Reply
from aggregator.models import FUTURE_TOLERANCE, Asset, Encode, Price, encode, encode_as_strings, price_body
from aggregator.prices.day_figures import Figures
from aggregator.prices.tiers import Cadence, Catalog


class Body:
    """A price as JSON with its headers. It is valid from `since` until `until` (unix seconds)."""

    __slots__ = ("asset", "etag", "max_age", "not_modified", "price", "raw", "reply", "since", "until")

    def __init__(
        self,
        asset: Asset,
        price: Price,
        cadence: Cadence,
        now: float,
        vary: Sequence[bytes] = (),
        encode: Encode = encode,
    ) -> None:
        age = max(0.0, now - price.timestamp)
        body = price_body(price, asset.tier, now, cadence.stale_after)
        self.asset = asset
        self.price = price
        self.since = now
        is_ahead = price.timestamp > now + FUTURE_TOLERANCE
        self.until = now + 1 if is_ahead else price.timestamp + _next_change(age, cadence)
        self.raw = encode(body)
        # Weak: `time_ago` changes while price and ETag stay the same.
        version = (round(1e6 * price.timestamp), round(1e6 * price.updated_at))
        self.etag = b'W/"%d-%d%s"' % (*version, b"s" if body.stale else b"")
        self.max_age = 0 if is_ahead else max(0, math.floor(cadence.interval - age))
        shared: list[Header] = [(b"cache-control", b"max-age=%d" % self.max_age), (b"etag", self.etag)]
        shared += [(b"vary", b", ".join(vary))] if vary else []
        length = (b"content-length", b"%d" % len(self.raw))
        self.reply = Reply(200, [(b"content-type", b"application/json"), length, *shared], self.raw)
        self.not_modified = Reply(304, shared, b"")

    def is_of(self, asset: Asset, price: Price) -> bool:
        """Whether this is the body of the price. Read from Redis again, an equal price is another object."""
        if self.asset is not asset:  # a re-ranking has put the asset into another tier
            return False
        return self.price is price or (self.price.timestamp, self.price.updated_at) == (
            price.timestamp,
            price.updated_at,
        )


class DetailedBody:
    """The JSON of a price with its 24-hour figures. Caches must not keep it while figures are missing.

    `added` is the JSON of the figures.
    """

    __slots__ = ("added", "body", "etag", "figures", "max_age", "raw")

    def __init__(self, body: Body, figures: Figures, added: bytes) -> None:
        self.body = body
        self.figures = figures
        self.added = added
        self.raw = b"%b,%b" % (body.raw[:-1], added[1:])
        self.etag = tag_of([body], added)
        self.max_age = body.max_age if figures.figures_reason is None else 0


class PriceBodies:
    """A cache of response bodies: one per asset, encoded at most once a second, and once when the price turns stale.

    A body is valid for up to a second, because `time_ago` has whole seconds. `vary` has the request headers on which
    a response may depend.
    """

    def __init__(
        self,
        catalog: Catalog,
        now: Callable[[], float] = time.time,
        vary: Sequence[bytes] = (),
        encode: Encode = encode,
    ) -> None:
        self._catalog = catalog
        self._now = now
        self._vary = vary
        self._encode = encode
        self._made: dict[str, Body] = {}
        self._detailed: dict[str, DetailedBody] = {}

    def of(self, asset: Asset, price: Price) -> Body:
        """Return the body of `price` that is valid now."""
        now = self._now()
        made = self._made.get(asset.symbol)
        if made is None or not made.since <= now < made.until or not made.is_of(asset, price):
            cadence = self._catalog.cadence[asset.tier]
            made = self._made[asset.symbol] = Body(asset, price, cadence, now, self._vary, self._encode)
        return made

    def detailed(self, asset: Asset, price: Price, figures: Figures) -> DetailedBody:
        """Return the body of `price` with its figures. They are encoded again only if they are another object."""
        body = self.of(asset, price)
        made = self._detailed.get(asset.symbol)
        if made is None or made.body is not body or made.figures is not figures:
            added = made.added if made is not None and made.figures is figures else self._encode(figures)
            made = self._detailed[asset.symbol] = DetailedBody(body, figures, added)
        return made

    @cached_property
    def as_strings(self) -> "PriceBodies":
        """The cache of the same bodies with decimals as strings."""
        return PriceBodies(self._catalog, self._now, self._vary, encode_as_strings)

    def is_stale(self, asset: Asset, price: Price) -> bool:
        """Whether `price` is older than its tier allows."""
        return self._now() - price.timestamp > self._catalog.cadence[asset.tier].stale_after

    def is_gone(self, asset: Asset, price: Price) -> bool:
        """Whether `price` is too old to be served."""
        return self._now() - price.timestamp > self._catalog.cadence[asset.tier].gone_after

    def fields(self, asset: Asset, price: Price) -> dict[str, object]:
        """Return the fields of `price` by name, for responses that have more fields."""
        stale_after = self._catalog.cadence[asset.tier].stale_after
        return msgspec.structs.asdict(price_body(price, asset.tier, self._now(), stale_after))


def tag_of(bodies: Iterable[Body | DetailedBody], rest: bytes) -> bytes:
    """Return the ETag of a list. It changes if one of its prices changes, or the `rest` of the response."""
    return (
        b'W/"%b"'
        % hashlib.blake2b(b"".join([body.etag for body in bodies]) + rest, digest_size=12).hexdigest().encode()
    )


def _next_change(age: float, cadence: Cadence) -> float:
    """Return the age at which the body changes: the next whole second, or the age at which it turns stale."""
    following = math.floor(age) + 1.0
    return min(following, cadence.stale_after) if age <= cadence.stale_after else following
