"""The rules that every answer must meet whatever is broken around the service; checked in bulk after a scenario.

The reference is the mock market, a pure function of venue, symbol and time. A price with timestamp T is a mean, with
positive weights, of tickers from a window that ends at T:
- No ticker is later than T. T is the newest ticker's timestamp, or the service's own clock where that is earlier,
  which happens only when a venue's clock is ahead.
- No ticker is older than T minus the exchange timeout: all venues are called at one moment, each stamps its ticker
  when it answers, and an answer after the timeout is left out. (A frozen feed stamps the past; its ticker counts for
  two intervals, so there the window is two intervals.)

So the price lies between the lowest and the highest price of any venue in the window. A wrong ticker, or one from
another time, is detected when it moves the price by more than about 0.2 %. /sources shows the single tickers: each must
equal the venue's ticker of that very timestamp, to the last digit.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from aggregator.prices.tiers import Cadence
from mock_exchange.market import Market
from tests.chaos.wire import Answered

STEP = 0.25  # seconds between the sampled times
# Between two samples the market moves by less than STEP² / 8 times its largest second derivative, 9e-5 per s²: the sum
# of size * speed² over its waves, twice for a pair. The venues' rounding to seven digits adds 5e-7.
# of size * speed² over its waves, twice for a pair. The venues' rounding to seven digits adds 5e-7.
BETWEEN = Decimal("1.3e-6")
MOST_SHOWN = 5
HTTP_OK, NOT_MODIFIED, UNAVAILABLE = 200, 304, 503


class Source(msgspec.Struct, frozen=True):
    """A ticker at /sources."""

    exchange: str
    price: Decimal
    timestamp: float


class Shown(msgspec.Struct, frozen=True):
    """A price in an answer."""

    asset: str
    price: Decimal
    timestamp: float
    stale: bool
    refresh_tier: str
    sources: int | list[Source]


class _Listed(msgspec.Struct, frozen=True):
    prices: list[Shown]


@dataclass(frozen=True, slots=True)
class Truth:
    """The reference market, and how often each tier is refreshed."""

    market: Market
    venues: Sequence[str]
    cadence: Mapping[str, Cadence]

    def bounds(self, asset: str, until: float, window: float) -> tuple[Decimal, Decimal]:
        """Return the lowest and highest price of any venue in the `window` seconds before `until`."""
        steps = max(1, math.ceil(window / STEP))
        times = [until - window * step / steps for step in range(steps + 1)]
        prices = [self.market.venue_ticker(venue, asset, time).price for venue in self.venues for time in times]
        return min(prices) * (1 - BETWEEN), max(prices) * (1 + BETWEEN)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The broken rules and the figures of a scenario. Ages are in intervals of the asset's tier."""

    broken: list[str]
    requests: int
    statuses: Mapping[int, int]
    prices: int
    stale: int
    worst_age: float
    p99: float  # seconds, over the answers with a price

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.requests} requests ({statuses}), {self.prices} prices, {self.stale} stale,"
            f" worst age {self.worst_age:.2f} intervals, p99 {1000 * self.p99:.1f} ms"
        )


def judge(answers: Sequence[Answered], truth: Truth, window: float, *, may_refuse: bool) -> Verdict:
    """Check every answer; `may_refuse` allows a 503 with Retry-After."""
    good = [one for one in answers if one.status in (HTTP_OK, NOT_MODIFIED)]
    seen = [(one, price) for one in good for price in _prices(one)]
    seconds = sorted(one.seconds for one in good)
    return Verdict(
        broken=[
            *_few("status", _bad_statuses(answers, may_refuse=may_refuse)),
            *_few("age", _bad_ages(seen, truth)),
            *_few("price", _untrue(seen, truth, window)),
            *_few("source", _untrue_sources(seen, truth)),
            *_few("back in time", _back_in_time(seen)),
        ],
        requests=len(answers),
        statuses=Counter(one.status for one in answers),
        prices=len(seen),
        stale=sum(price.stale for _, price in seen),
        worst_age=max(((one.received - price.timestamp) / _interval(truth, price) for one, price in seen), default=0),
        p99=seconds[int(0.99 * len(seconds))] if seconds else math.nan,
    )


def _interval(truth: Truth, price: Shown) -> float:
    return truth.cadence[price.refresh_tier].interval


def _few(what: str, broken: Iterator[str]) -> list[str]:
    """Return the first violations of a kind, with their number."""
    found = list(broken)
    return [f"{what} ({len(found)} times): {one}" for one in found[:MOST_SHOWN]]


def _prices(one: Answered) -> list[Shown]:
    if "?" in one.path:
        return msgspec.json.decode(one.body, type=_Listed).prices
    return [msgspec.json.decode(one.body, type=Shown)]


def _bad_statuses(answers: Sequence[Answered], *, may_refuse: bool) -> Iterator[str]:
    for one in answers:
        refused = one.status == UNAVAILABLE and one.retry_after and may_refuse
        if one.status not in (HTTP_OK, NOT_MODIFIED) and not refused:
            yield f"{one.path} at {one.sent:.3f}: {one.status} after {one.seconds:.2f} s {one.body[:200]!r}"


def _bad_ages(seen: Sequence[tuple[Answered, Shown]], truth: Truth) -> Iterator[str]:
    """Compare the flags with the age at `sent` and at `received`; only rounding of floats needs a tolerance."""
    for one, price in seen:
        cadence = truth.cadence[price.refresh_tier]
        least, most = one.sent - price.timestamp - 1e-6, one.received - price.timestamp + 1e-6
        if least > cadence.gone_after:
            yield f"{price.asset} is gone, {least:.3f} s old at {one.sent:.3f} ({one.path})"
        elif not price.stale and least > cadence.stale_after:
            yield f"{price.asset} is {least:.3f} s old and not called stale at {one.sent:.3f} ({one.path})"
        elif price.stale and most < cadence.stale_after:
            yield f"{price.asset} is {most:.3f} s old and called stale at {one.sent:.3f} ({one.path})"


def _untrue(seen: Sequence[tuple[Answered, Shown]], truth: Truth, window: float) -> Iterator[str]:
    for asset, timestamp, price, tier in sorted({(p.asset, p.timestamp, p.price, p.refresh_tier) for _, p in seen}):
        low, high = truth.bounds(asset, timestamp, min(window, truth.cadence[tier].max_age))
        if not low <= price <= high:
            yield f"{asset} at {timestamp}: {price} is not within {low} and {high}"


def _untrue_sources(seen: Sequence[tuple[Answered, Shown]], truth: Truth) -> Iterator[str]:
    shown = {(p.asset, source) for _, p in seen if isinstance(p.sources, list) for source in p.sources}
    for asset, source in shown:
        said = truth.market.venue_ticker(source.exchange, asset, source.timestamp).price
        if said != source.price:
            yield f"{asset} at {source.timestamp}: {source.exchange} never said {source.price}, but {said}"


def _back_in_time(seen: Sequence[tuple[Answered, Shown]]) -> Iterator[str]:
    """For all clients together: a price must be no older than any price received before its request was sent."""
    by_asset: dict[str, list[tuple[Answered, Shown]]] = {}
    for pair in seen:
        by_asset.setdefault(pair[1].asset, []).append(pair)
    for asset, its in by_asset.items():
        its.sort(key=lambda pair: pair[0].sent)
        received = sorted(its, key=_received)
        newest, known = -math.inf, 0
        for one, price in its:
            while received[known][0].received < one.sent:
                newest = max(newest, received[known][1].timestamp)
                known += 1
            if price.timestamp < newest:
                yield f"{asset} of {price.timestamp} at {one.sent:.3f} ({one.path}), {newest} was there before"


def _received(pair: tuple[Answered, Shown]) -> float:
    return pair[0].received
