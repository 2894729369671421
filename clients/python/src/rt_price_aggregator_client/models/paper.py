"""The answers about paper.

`scripts/client_models` makes this module from /openapi.json. A test checks it.
"""

from datetime import datetime
from decimal import Decimal

import msgspec


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal of the paper strategy: no order was sent anywhere, which `paper` says.

    `price` and `timestamp` (unix seconds) are those of the trade that made it. `position` is the id of the
    position that it opens or closes. `profit` is in units of the quote, null for a buy.
    """

    id: str
    asset: str
    side: str
    """One of: buy, sell."""
    reason: str
    """One of: drop, gain, stop."""
    price: Decimal
    quantity: Decimal
    timestamp: datetime
    position: str
    profit: Decimal | None = None
    paper: bool | None = None


class SignalPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of signals.

    `next` is the cursor of the next page; null on the last page.
    """

    asset: str
    paper: bool
    """Always true: trading on paper, no order was sent."""
    signals: list[Signal]
    next: str | None


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A paper position that is open."""

    id: str
    """The id of the position, which derives from the trade that opened it."""
    asset: str
    quantity: Decimal
    """In units of the base asset."""
    entry_price: Decimal
    """In units of the quote asset."""
    entry_time: datetime
    paper: bool
    """Always true: trading on paper, no order was sent."""


class OpenPositions(msgspec.Struct, frozen=True, kw_only=True):
    """All open paper positions, the newest first; at most one an asset."""

    paper: bool
    """Always true: trading on paper, no order was sent."""
    positions: list[OpenPosition]


class ClosedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A paper position that is closed."""

    id: str
    """The id of the position, which derives from the trade that opened it."""
    asset: str
    quantity: Decimal
    """In units of the base asset."""
    entry_price: Decimal
    """In units of the quote asset."""
    entry_time: datetime
    exit_price: Decimal
    """In units of the quote asset."""
    exit_time: datetime
    profit: Decimal
    """Quantity x (exit price - entry price)."""
    exit_reason: str
    """One of: gain, stop."""
    paper: bool
    """Always true: trading on paper, no order was sent."""


class ClosedTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Totals of closed positions, up to a few seconds old.

    `won` counts those with a profit above 0. `profit` has the sum of all profits by quote currency. `complete` is
    false where there are more than 100,000 closed positions: the totals are those of the newest then.
    """

    closed: int
    won: int
    profit: dict[str, Decimal]
    complete: bool


class ClosedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of closed positions, the newest exit first.

    `next` is the cursor of the next page; null on the last.
    """

    paper: bool
    """Always true: trading on paper, no order was sent."""
    positions: list[ClosedPosition]
    totals: ClosedTotals
    next: str | None
