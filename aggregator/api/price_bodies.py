"""Prices as they are sent: encoded once, and again only when they would say something else."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Asset, Price, encode, price_body
from aggregator.prices.tiers import Cadence, Catalog

Header = tuple[bytes, bytes]


class Reply:
    """An answer ready to go: as ASGI's two messages, and as the bytes of its headers and body."""

    __slots__ = ("end", "head", "raw", "start", "status")

    def __init__(self, status: int, headers: list[Header], raw: bytes) -> None:
        self.status = status
        self.start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
        self.end: dict[str, Any] = {"type": "http.response.body", "body": raw}
        self.head = b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"
        self.raw = raw


class Body:
    """A price as JSON, the headers it goes out with, and from when until when it says the truth (unix seconds)."""

    __slots__ = ("asset", "etag", "max_age", "not_modified", "price", "raw", "reply", "since", "until")

    def __init__(self, asset: Asset, price: Price, cadence: Cadence, now: float, vary: Sequence[bytes] = ()) -> None:
        age = max(0.0, now - price.timestamp)
        body = price_body(price, asset.tier, now, cadence.stale_after)
        self.asset = asset
        self.price = price
        self.since = now
        is_ahead = price.timestamp > now + FUTURE_TOLERANCE
        self.until = now + 1 if is_ahead else price.timestamp + _next_change(age, cadence)
        self.raw = encode(body)
        # Weak: the price is the same as long as its tag, the text of its age is not.
        version = (round(1e6 * price.timestamp), round(1e6 * price.updated_at))
        self.etag = b'W/"%d-%d%s"' % (*version, b"s" if body.stale else b"")
        self.max_age = 0 if is_ahead else max(0, math.floor(cadence.interval - age))
        shared: list[Header] = [(b"cache-control", b"max-age=%d" % self.max_age), (b"etag", self.etag)]
        shared += [(b"vary", b", ".join(vary))] if vary else []
        length = (b"content-length", b"%d" % len(self.raw))
        self.reply = Reply(200, [(b"content-type", b"application/json"), length, *shared], self.raw)
        self.not_modified = Reply(304, shared, b"")

    def is_of(self, asset: Asset, price: Price) -> bool:
        """Whether it shows this price, as this asset's; read anew from Redis, the same price is another object."""
        if self.asset is not asset:  # it is in another tier by now
            return False
        return self.price is price or (self.price.timestamp, self.price.updated_at) == (
            price.timestamp,
            price.updated_at,
        )


class PriceBodies:
    """The bodies of the prices last asked for: one per asset, made at most once a second (and once as it turns stale).

    `time_ago` counts whole seconds of a price's age, so that is how long a body holds. `vary` are the headers by which
    an answer may differ.
    """

    def __init__(self, catalog: Catalog, now: Callable[[], float] = time.time, vary: Sequence[bytes] = ()) -> None:
        self._catalog = catalog
        self._now = now
        self._vary = vary
        self._made: dict[str, Body] = {}

    def of(self, asset: Asset, price: Price) -> Body:
        """Return the body of `price` as it is now."""
        now = self._now()
        made = self._made.get(asset.symbol)
        if made is None or not made.since <= now < made.until or not made.is_of(asset, price):
            made = self._made[asset.symbol] = Body(asset, price, self._catalog.cadence[asset.tier], now, self._vary)
        return made

    def is_stale(self, asset: Asset, price: Price) -> bool:
        """Whether `price` is older now than its tier allows."""
        return self._now() - price.timestamp > self._catalog.cadence[asset.tier].stale_after

    def fields(self, asset: Asset, price: Price) -> dict[str, object]:
        """Return what `price` says now, by name, for answers that say more."""
        stale_after = self._catalog.cadence[asset.tier].stale_after
        return msgspec.structs.asdict(price_body(price, asset.tier, self._now(), stale_after))


def tag_of(bodies: Iterable[Body], rest: bytes) -> bytes:
    """Return the tag of a list: another as soon as one of its prices is another, or the `rest` of the answer is."""
    return (
        b'W/"%b"'
        % hashlib.blake2b(b"".join([body.etag for body in bodies]) + rest, digest_size=12).hexdigest().encode()
    )


def matches(etag: bytes, if_none_match: bytes) -> bool:
    """Whether the caller has what `etag` stands for: If-None-Match is a list of tags, or `*`; weak is enough."""
    if b"*" in if_none_match:
        return if_none_match.strip() == b"*"
    wanted = etag.removeprefix(b"W/")
    return any(tag.strip().removeprefix(b"W/") == wanted for tag in if_none_match.split(b","))


def _next_change(age: float, cadence: Cadence) -> float:
    """Return the age at which the body would say something else: the next whole second, or when it turns stale."""
    following = math.floor(age) + 1.0
    return min(following, cadence.stale_after) if age <= cadence.stale_after else following
