"""The signals of the paper strategy, and their topic."""

from decimal import Decimal
from typing import Literal

import msgspec

from aggregator.live.topics import Retention, Topic
from aggregator.models import encode
from aggregator.strategy.ports import Position
from aggregator.trades.ports import StoredEvent


class Signal(msgspec.Struct, frozen=True):
    """A signal of the paper strategy: no order was sent anywhere, which `paper` says.

    `price` and `timestamp` (unix seconds) are those of the trade that made it. `position` is the id of the position
    that it opens or closes. `profit` is in units of the quote, null for a buy.
    """

    id: str
    asset: str
    side: Literal["buy", "sell"]
    reason: Literal["drop", "gain", "stop"]
    price: Decimal
    quantity: Decimal
    timestamp: float
    position: str
    profit: Decimal | None = None
    paper: bool = True


def _asset(signal: Signal) -> str:
    return signal.asset


SIGNALS = Topic("signals", "signal", Signal, asset=_asset, retention=Retention(events=1000))


def signal_of(position: Position) -> Signal:
    """Return the last signal of a position: the sell of a closed one, the buy of an open one."""
    if position.exit_price is None or position.exit_time is None or position.exit_reason is None:
        return Signal(
            f"{position.id}-buy",
            position.asset,
            "buy",
            "drop",
            position.entry_price,
            position.quantity,
            position.entry_time,
            position.id,
        )
    return Signal(
        f"{position.id}-sell",
        position.asset,
        "sell",
        position.exit_reason,
        position.exit_price,
        position.quantity,
        position.exit_time,
        position.id,
        position.profit,
    )


def stored_signal(signal: Signal) -> StoredEvent:
    """Return the event that is stored of a signal."""
    return StoredEvent(signal.asset, signal.timestamp, signal.id, encode(signal))
