"""The contract of a venue's file: its REST dialect, its push dialect, and the values these exchange with the client.

A dialect has no I/O, clock or state of its own: it returns requests and reads answers. `http` sends the requests of a
REST dialect, `push/feed` the messages of a push dialect, `push/trade_feed` those of a trade dialect. Functions for
reading answers are in `decoding`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from aggregator.errors import ExchangeError
from aggregator.models import Asset, Side, Ticker


class Request(msgspec.Struct, frozen=True):
    """An HTTP request to a venue. `path` includes the query and is sent as it is: see `decoding.in_path`.

    A body needs a Content-Type among the headers. A recording keeps method, path and body, but not the headers, which
    may contain a key.
    """

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request, with status 200. `received` (unix seconds) is for venues whose tickers have no time."""

    body: bytes
    received: float = 0.0


class Market(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """A pair at one venue: our symbol, the venue's name for it, and whether it is traded there now.

    `base` and `quote` are in lower case; they are empty for a market that does not come from a listing.
    """

    symbol: str
    name: str
    trading: bool = True
    base: str = ""
    quote: str = ""

    @classmethod
    def listed(cls, name: str, base: str, quote: str, *, trading: bool) -> "Market":
        """Return a market of a listing, `base` and `quote` in either case."""
        base, quote = base.lower(), quote.lower()
        return cls(base + quote, name, trading, base, quote)


class DayStatistics(msgspec.Struct, frozen=True):
    """The last 24 hours of the market that the venue calls `name`: volume in base units, last price if there is one."""

    name: str
    volume: Decimal
    price: Decimal | None = None


class Bucket(msgspec.Struct, frozen=True):
    """A token bucket: `burst` tokens at most, `per_second` new ones each second.

    A token is one call, or one unit of weight where the venue weighs its calls. In the worst window of n seconds the
    bucket lets `burst + per_second * n` tokens through; this must not exceed a documented limit (see `registry`).
    """

    per_second: float
    burst: float


# By our symbol: the ticker, or the error that the venue reports for this market. A missing symbol is not listed.
Tickers = Mapping[str, Ticker | ExchangeError]


class Dialect(Protocol):
    """The calls and answers of one venue. A venue's class inherits from this one and overrides what differs."""

    public_url: str  # used where EXCHANGES gives no address; empty: the venue has no public address
    most_symbols: int  # in one call; with 1, `request` and `parse` always get one market
    rate_limit: Bucket | None = None  # None: no limit of the venue's own
    listing: Request | None = None  # asks for every market; None: the venue has no listing, every pair is tried
    listing_cost: float = 1
    listing_start: re.Pattern[bytes] | None = None  # matches a listing up to the bracket that opens the list of markets
    statistics: Request | None = None  # asks for the last 24 hours of every market in one answer; None: not possible
    statistics_cost: float = 1

    def name(self, asset: Asset) -> str:
        """Return the venue's name of a pair, as long as no listing has been read. Raises NotListed if impossible."""

    def request(self, markets: Sequence[Market]) -> Request:
        """Return the request for the tickers of these markets."""

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Return the tickers in the answer to `request(markets)`; `exchange` is the name to put into each.

        Raises Undecodable, or the error that the venue reports for the whole call, such as NotListed.
        """

    def markets(self, answer: Answer) -> Iterable[Market]:  # noqa: ARG002  # an override reads it
        """Return the markets in the answer to `listing`, or in a part of it. Raises ExchangeError."""
        return ()

    def read_statistics(self, answer: Answer) -> Iterable[DayStatistics]:  # noqa: ARG002  # an override reads it
        """Return the markets in the answer to `statistics`, without those that have no volume. Raises ExchangeError."""
        return ()

    def check(self, answer: Answer) -> None:  # noqa: ARG002  # an override reads it
        """Raise the error that a body with status 200 reports for the whole call, whichever call it was."""
        return

    def cost(self, count: int) -> float:  # noqa: ARG002  # an override may depend on it
        """Return how many tokens a call for `count` symbols takes."""
        return 1

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:  # noqa: ARG002  # an override reads them
        """Return the error that a body with a status other than 200 reports; None: the status alone decides."""
        return None

    def pause(self, headers: Mapping[str, str], now: float) -> float | None:  # noqa: ARG002  # an override reads them
        """Return the cool-down in seconds that headers other than Retry-After ask for; `now` in unix seconds."""
        return None


class Pushed(msgspec.Struct, gc=False, frozen=True):
    """A pushed ticker: the venue's `name` of the pair, price in quote units, volume in base units, unix seconds.

    Without a timestamp, the ticker gets the time at which it arrived. `order` never falls from one ticker of a pair to
    the next. `trade` is the number of the pair's newest trade, for venues whose heartbeats contain it.
    """

    name: str
    price: Decimal
    volume: Decimal
    timestamp: float | None
    order: int
    trade: int = 0


class Beat(msgspec.Struct, gc=False, frozen=True):
    """A heartbeat of one pair, with the number of its newest trade; 0 where the venue does not number trades."""

    name: str
    trade: int = 0


class Refused(msgspec.Struct, gc=False, frozen=True):
    """The venue refuses the subscription to this pair."""

    name: str
    why: str


class Shutdown(msgspec.Struct, gc=False, frozen=True):
    """The venue is about to end this connection and asks for a new one to be opened at once."""


News = Pushed | Beat | Refused


class SocketDialect(Protocol):
    """The subscriptions of one venue over a WebSocket: the part that tickers and trades share."""

    public_url: str  # used where EXCHANGES gives no address; empty: the venue has no public address
    path: str  # appended to the address
    most_symbols: int  # on one connection
    most_together: int  # in one subscription message
    pause: float  # seconds between two messages that we send
    keep_alive: str = ""  # a message of the venue's own that keeps a silent connection open; empty: pings are enough
    keep_alive_seconds: float = 20.0  # between two of them

    def spell(self, asset: Asset) -> str:
        """Return the venue's name of the pair; empty if base and quote are needed and not known."""

    def subscribe(self, names: Sequence[str]) -> str:
        """Return the message that subscribes to these pairs."""

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return the message that ends the subscription to these pairs."""


class PushDialect(SocketDialect, Protocol):
    """The tickers that one venue pushes over a WebSocket."""

    def read(self, frame: str) -> Sequence[News | Shutdown]:
        """Return the news in a frame; none in a greeting or a receipt. Raises Undecodable."""


class Execution(msgspec.Struct, gc=False, frozen=True):
    """A trade as a venue reports it: its `name` of the pair, price in quote units, volume in base units, unix seconds.

    `side` is that of the taker, whichever side the venue reports. `sequence` is the venue's, where it has one.
    """

    name: str
    price: Decimal
    volume: Decimal
    timestamp: float
    id: str
    side: Side
    sequence: int | None = None


class Unreadable(msgspec.Struct, gc=False, frozen=True):
    """A record of a frame or an answer that is no execution: its bytes, and the reason."""

    raw: bytes
    why: str


Executions = Sequence[Execution | Unreadable]
TradeNews = Execution | Unreadable | Beat | Refused | Shutdown


class TradeDialect(SocketDialect, Protocol):
    """The trades that one venue pushes over a WebSocket, and the call for its recent ones.

    The ids of both must be the same, and the times too: they identify a trade.
    """

    silence: float  # seconds without any frame after which a connection is replaced; long where only trades are sent
    most_recent: int  # trades in an answer to `recent`
    recent_cost: float = 1  # tokens of the rate limit that `recent` takes

    def read(self, frame: str) -> Sequence[TradeNews]:
        """Return the trades and other news in a frame; none in a receipt. Raises Undecodable for a whole frame."""

    def recent(self, market: Market) -> Request:
        """Return the request for the recent trades of one market."""

    def read_recent(self, market: Market, answer: Answer) -> Executions:
        """Return the executions in the answer to `recent(market)`, the oldest first. Raises Undecodable."""
