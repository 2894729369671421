"""Registration of a store of trades: the form of its URL, the check of a URL, and how the store is made from it."""

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

import msgspec
from pydantic import SecretStr

from aggregator.observability.metrics import Metrics
from aggregator.stores.definition import OpenStep
from aggregator.trades.ports import TradeReader, TradeStore


def nothing_longer() -> float:
    """Return the end of time: no trade is kept for longer than the retention."""
    return inf


class CreatedTradeStore(NamedTuple):
    """A store that is not open yet. The steps open it, in this order; `store.close` may be called at any time."""

    store: TradeStore
    open_steps: Sequence[OpenStep]


class CreatedTradeReader(NamedTuple):
    """A reader of the trades that another process stores, opened and closed as a CreatedTradeStore.

    `upkeep` has a `run` for the background; None where there is nothing to do.
    """

    reader: TradeReader
    open_steps: Sequence[OpenStep]
    close: Callable[[], Awaitable[None]]
    upkeep: TradeStore | None = None


class TradeStoreParts(msgspec.Struct, frozen=True):
    """The parts that a store may use in addition to its URL. `retention` is in seconds, by the time of a trade.

    A store keeps trades from `keep_from()` on, in unix seconds, however old they are: the archive may lack them.
    `archiver` is the name of the archiver of this process among those of a store; empty without an archive.
    """

    retention: float
    outbox_path: Path
    outbox_max_bytes: int
    metrics: Metrics
    now: Callable[[], float]
    postgres_password: SecretStr = SecretStr("")
    keep_from: Callable[[], float] = nothing_longer
    archiver: str = ""


class TradeStoreKind(msgspec.Struct, frozen=True):
    """A kind of store of trades; the fields are those of `aggregator.stores.definition.HistoryStore`.

    `create_reader` makes a reader for another process; None where other processes cannot read the trades.
    """

    example: str
    form: str
    check: Callable[[str], object]
    create: Callable[[str, TradeStoreParts], CreatedTradeStore]
    create_reader: Callable[[str, TradeStoreParts], CreatedTradeReader] | None = None
