"""What one connection has pushed: the newest ticker of each pair, and what of the news is believed. Pure.

| news                                             | is           | and                                             |
| ------------------------------------------------ | ------------ | ----------------------------------------------- |
| a ticker newer than the one held                 | ticker       | held in its place                               |
| one that is not                                  | out_of_order | ignored                                         |
| of a pair nobody asked for, or no number of a market | junk     | ignored                                         |
| a beat                                           | beat         |                                                 |
| a second beat that knows of a trade we do not    | gap          | what is held is dropped, and to be asked for anew |
| a refusal                                        | refused      | not asked for again on this connection          |
"""

import math
from decimal import Decimal

import msgspec

from aggregator.exchanges.push.dialect import Beat, News, Pushed, Refused
from aggregator.models import Clock, Ticker

KINDS = ("ticker", "beat", "gap", "out_of_order", "refused", "junk")


class _Held(msgspec.Struct, gc=False):
    ticker: Ticker
    order: int
    trade: int
    received: float


class Book:
    """The pairs asked for on one connection of `exchange`, by the exchange's names of them."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._symbols: dict[str, str] = {}
        self._asked: dict[str, float] = {}  # when, of those not heard of yet
        self._held: dict[str, _Held] = {}  # by name, as the others
        self._behind: dict[str, int] = {}  # the newest trade of those of which beats know more than we

    def handed_over(self) -> "Book":
        """Return the book of the connection that replaces this one: tickers are kept, and nothing is asked for yet."""
        book = Book(self._exchange)
        book._held = dict(self._held)
        return book

    @property
    def names(self) -> set[str]:
        """The pairs asked for, refused ones too."""
        return set(self._symbols)

    def expect(self, name: str, symbol: str, now: float) -> None:
        """Know that this pair was asked for, `now`."""
        self._symbols[name] = symbol
        self._asked[name] = now

    def unheard(self, before: float) -> dict[str, str]:
        """Return the symbols, by name, of pairs asked for before that of which nothing has come."""
        return {name: self._symbols[name] for name, asked in self._asked.items() if asked < before}

    def forget(self, name: str) -> None:
        """Know that it is no longer."""
        self._symbols.pop(name, None)
        self._asked.pop(name, None)
        self._drop(name)

    def update(self, news: News, now: float, wall: float) -> str:
        """Take news that came at `now`, in unix seconds at `wall`, and return which of KINDS it is."""
        if news.name not in self._symbols:
            return "refused" if isinstance(news, Refused) else "junk"
        if not isinstance(news, Beat):
            self._asked.pop(news.name, None)
        if isinstance(news, Pushed):
            return self._update(news, now, wall)
        if isinstance(news, Beat):
            return self._compare(news, now)
        self._drop(news.name)
        return "refused"

    def held(self, name: str) -> tuple[Ticker, float] | None:
        """Return the newest ticker of the pair, and when it came."""
        held = self._held.get(name)
        return None if held is None else (held.ticker, held.received)

    def _update(self, news: Pushed, now: float, wall: float) -> str:
        told = news.timestamp is not None
        timestamp = wall if news.timestamp is None else news.timestamp
        if not (_is_amount(news.price) and _is_amount(news.volume) and math.isfinite(timestamp)):
            return "junk"
        held = self._held.get(news.name)
        if held is not None and news.order < held.order:
            return "out_of_order"
        clock = Clock.EXCHANGE if told else Clock.RECEIPT
        ticker = Ticker(self._exchange, self._symbols[news.name], news.price, news.volume, timestamp, clock)
        self._held[news.name] = _Held(ticker, news.order, news.trade, now)
        return "ticker"

    def _compare(self, beat: Beat, now: float) -> str:
        """Tell a beat from a gap: one may overtake the ticker of the trade it knows; the next beat does not."""
        held = self._held.get(beat.name)
        if held is None or beat.trade <= held.trade:
            self._behind.pop(beat.name, None)
            return "beat"
        if self._behind.get(beat.name, 0) > held.trade:
            self._drop(beat.name)
            self._asked[beat.name] = now
            return "gap"
        self._behind[beat.name] = beat.trade
        return "beat"

    def _drop(self, name: str) -> None:
        self._held.pop(name, None)
        self._behind.pop(name, None)


def _is_amount(number: Decimal) -> bool:
    return number.is_finite() and number > 0
