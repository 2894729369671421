"""The ports of the paper strategy."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, Protocol

import msgspec


class Position(msgspec.Struct, frozen=True):
    """A paper position. `id` derives from the trade that opened it. Prices are in units of the quote, times in seconds.

    The fields of the exit are None while it is open. `profit` = quantity x (exit price - entry price).
    """

    id: str
    asset: str
    quantity: Decimal
    entry_price: Decimal
    entry_time: float
    exit_price: Decimal | None = None
    exit_time: float | None = None
    profit: Decimal | None = None
    exit_reason: Literal["gain", "stop"] | None = None


class Totals(msgspec.Struct, frozen=True):
    """The number of closed positions, how many of them made a profit, and the sum of all profits by quote currency."""

    closed: int
    won: int
    profit: dict[str, Decimal]


class PositionReader(Protocol):
    """Reads positions."""

    async def open_positions(self, assets: Sequence[str]) -> list[Position]:
        """Return the open positions of assets, at most one each. Raises StoreError."""

    async def closed(self, asset: str | None, limit: int, after: tuple[float, str] | None = None) -> list[Position]:
        """Return closed positions, newest exit first; of all assets, if None. Raises StoreError.

        `after` is exit time and id of the last position of the page before.
        """


class PositionStore(PositionReader, Protocol):
    """Keeps positions durably: open ones until they are closed, closed ones for good."""

    async def open(self, position: Position) -> bool:
        """Store an open position; False if its asset has another open one, or this one is closed. Raises StoreError.

        Opening the same position twice is opening it once.
        """

    async def close_position(self, position: Position) -> bool:
        """Store a closed position in place of the open one of the same id. Raises StoreError.

        False, and nothing changed, if it was closed before, or there is no such open position.
        """
