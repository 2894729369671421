"""The JSON of paper signals and positions: models, rows and examples."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from aggregator.api.routing.description import Json, text
from aggregator.api.routing.responses import csv_text
from aggregator.api.routing.shared_descriptions import SYMBOL, Seconds, Symbol
from aggregator.strategy.totals import COLUMNS

_Amount = Annotated[Decimal, Meta(description="In units of the quote asset")]
_Quantity = Annotated[Decimal, Meta(description="In units of the base asset")]
_Profit = Annotated[
    Decimal | None,
    Meta(description="quantity x (exit price - entry price), in units of the quote asset; null for a buy"),
]
_Paper = Annotated[bool, Meta(description="Always true: trading on paper, no order was sent")]
_PositionId = Annotated[str, Meta(description="The id of the position, which derives from the trade that opened it")]

SIGNAL_COLUMNS = (
    "id",
    "asset",
    "side",
    "reason",
    "price",
    "quantity",
    "timestamp",
    "position",
    "profit",
    "paper",
)
_POSITION = "8f14e45fceea167a5a36dedd"
SIGNAL: Json = {
    "id": f"{_POSITION}-sell",
    "asset": SYMBOL,
    "side": "sell",
    "reason": "gain",
    "price": 80185.5,
    "quantity": 0.01311475,
    "timestamp": 1795241427.047125,
    "position": _POSITION,
    "profit": 51.613098625,
    "paper": True,
}
OPEN: Json = {
    "id": _POSITION,
    "asset": SYMBOL,
    "quantity": 0.01311475,
    "entry_price": 76250,
    "entry_time": 1795240427.047125,
    "paper": True,
}
CLOSED: Json = {
    "id": _POSITION,
    "asset": SYMBOL,
    "quantity": 0.01311475,
    "entry_price": 76250,
    "entry_time": 1795240427.047125,
    "exit_price": 80185.5,
    "exit_time": 1795241427.047125,
    "profit": 51.613098625,
    "exit_reason": "gain",
    "paper": True,
}
SIGNAL_AS_CSV = text("text/csv", csv_text(SIGNAL_COLUMNS, [SIGNAL]))
CLOSED_AS_CSV = text("text/csv", csv_text(COLUMNS, [CLOSED]))


class PaperSignal(Struct, frozen=True):
    """A signal of the paper strategy. `price` and `timestamp` are those of the trade that made it."""

    id: str
    asset: Symbol
    side: Literal["buy", "sell"]
    reason: Literal["drop", "gain", "stop"]
    price: _Amount
    quantity: _Quantity
    timestamp: Seconds
    position: _PositionId
    profit: _Profit
    paper: _Paper


class SignalPage(Struct, frozen=True):
    """A page of signals. `next` is the cursor of the next page; null on the last page."""

    asset: Symbol
    paper: _Paper
    signals: tuple[PaperSignal, ...]
    next: str | None


class OpenPosition(Struct, frozen=True):
    """A paper position that is open."""

    id: _PositionId
    asset: Symbol
    quantity: _Quantity
    entry_price: _Amount
    entry_time: Seconds
    paper: _Paper


class OpenPositions(Struct, frozen=True):
    """All open paper positions, the newest first; at most one an asset."""

    paper: _Paper
    positions: tuple[OpenPosition, ...]


class ClosedPosition(Struct, frozen=True):
    """A paper position that is closed."""

    id: _PositionId
    asset: Symbol
    quantity: _Quantity
    entry_price: _Amount
    entry_time: Seconds
    exit_price: _Amount
    exit_time: Seconds
    profit: Annotated[Decimal, Meta(description="quantity x (exit price - entry price)")]
    exit_reason: Literal["gain", "stop"]
    paper: _Paper


class ClosedTotals(Struct, frozen=True):
    """Totals of closed positions, up to a few seconds old.

    `won` counts those with a profit above 0. `profit` has the sum of all profits by quote currency. `complete` is false
    where there are more than 100,000 closed positions: the totals are those of the newest then.
    """

    closed: Annotated[int, Meta(ge=0)]
    won: Annotated[int, Meta(ge=0)]
    profit: dict[str, Decimal]
    complete: bool


class ClosedPage(Struct, frozen=True):
    """A page of closed positions, the newest exit first. `next` is the cursor of the next page; null on the last."""

    paper: _Paper
    positions: tuple[ClosedPosition, ...]
    totals: ClosedTotals
    next: str | None
