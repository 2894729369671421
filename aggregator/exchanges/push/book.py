"""The newest ticker of each pair that one connection has pushed, and the rules by which news is accepted. Pure.

| news                                                       | kind         | effect                                 |
| ---------------------------------------------------------- | ------------ | -------------------------------------- |
| a ticker not older than the one held                       | ticker       | replaces it                            |
| an older ticker                                            | out_of_order | none                                   |
| of a pair without subscription, or with an impossible number | junk       | none                                   |
| a heartbeat                                                | beat         | none                                   |
| a second heartbeat with a trade newer than the ticker held | gap          | ticker dropped, pair to subscribe anew |
| a refusal                                                  | refused      | no other try on this connection        |
"""

import math
from decimal import Decimal

import msgspec

from aggregator.exchanges.dialect import Beat, News, Pushed, Refused
from aggregator.models import Clock, Ticker

KINDS = ("ticker", "beat", "gap", "out_of_order", "refused", "junk")


class _Held(msgspec.Struct, gc=False):
    ticker: Ticker
    order: int
    trade: int
    received: float


class Book:
    """The pairs subscribed to on one connection to `exchange`, by the venue's names."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._symbols: dict[str, str] = {}
        self._subscribed_at: dict[str, float] = {}  # of pairs of which nothing has come yet
        self._held: dict[str, _Held] = {}
        self._behind: dict[str, int] = {}  # the newest trade in heartbeats, where it is newer than the ticker held

    def handed_over(self) -> "Book":
        """Return the book of the connection that replaces this one: it keeps the tickers and has no subscriptions."""
        book = Book(self._exchange)
        book._held = dict(self._held)
        return book

    @property
    def names(self) -> set[str]:
        """The names of all subscribed pairs, also of refused ones."""
        return set(self._symbols)

    def expect(self, name: str, symbol: str, now: float) -> None:
        """Add a pair that is subscribed to now."""
        self._symbols[name] = symbol
        self._subscribed_at[name] = now

    def unheard(self, before: float) -> dict[str, str]:
        """Return the symbols, by name, of pairs subscribed to before `before` of which nothing has come."""
        return {name: self._symbols[name] for name, at in self._subscribed_at.items() if at < before}

    def forget(self, name: str) -> None:
        """Remove a pair."""
        self._symbols.pop(name, None)
        self._subscribed_at.pop(name, None)
        self._drop(name)

    def update(self, news: News, now: float, wall: float) -> str:
        """Apply news and return its kind, one of KINDS. `now` is monotonic, `wall` the same moment in unix seconds."""
        if news.name not in self._symbols:
            return "refused" if isinstance(news, Refused) else "junk"
        if not isinstance(news, Beat):
            self._subscribed_at.pop(news.name, None)
        if isinstance(news, Pushed):
            return self._update(news, now, wall)
        if isinstance(news, Beat):
            return self._compare(news, now)
        self._drop(news.name)
        return "refused"

    def held(self, name: str) -> tuple[Ticker, float] | None:
        """Return the newest ticker of the pair and when it arrived; None if there is none."""
        held = self._held.get(name)
        return None if held is None else (held.ticker, held.received)

    def _update(self, news: Pushed, now: float, wall: float) -> str:
        clock, timestamp = (Clock.RECEIPT, wall) if news.timestamp is None else (Clock.EXCHANGE, news.timestamp)
        if not (_is_amount(news.price) and _is_amount(news.volume) and math.isfinite(timestamp)):
            return "junk"
        held = self._held.get(news.name)
        if held is not None and news.order < held.order:
            return "out_of_order"
        ticker = Ticker(self._exchange, self._symbols[news.name], news.price, news.volume, timestamp, clock)
        self._held[news.name] = _Held(ticker, news.order, news.trade, now)
        return "ticker"

    def _compare(self, beat: Beat, now: float) -> str:
        """Return beat or gap: one heartbeat may overtake the ticker of its trade, a second one in a row shows a gap."""
        held = self._held.get(beat.name)
        if held is None or beat.trade <= held.trade:
            self._behind.pop(beat.name, None)
            return "beat"
        if self._behind.get(beat.name, 0) > held.trade:
            self._drop(beat.name)
            self._subscribed_at[beat.name] = now
            return "gap"
        self._behind[beat.name] = beat.trade
        return "beat"

    def _drop(self, name: str) -> None:
        self._held.pop(name, None)
        self._behind.pop(name, None)


def _is_amount(number: Decimal) -> bool:
    return number.is_finite() and number > 0
