"""Answers as a table of pandas, which the extra `pandas` installs."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pandas import DataFrame

_TIMES = ("timestamp", "start", "entry_time", "published_at", "created_at")
_REPEATED = {"time", "timestamp_iso", "last_updated", "time_ago"}  # the same time in another form


def to_frame(rows: Iterable[msgspec.Struct], *, decimals: bool = False) -> "DataFrame":
    """Return rows of one kind, such as stored prices, candles or trades, as a frame sorted by time.

    The index is the row's time, in UTC. Decimals become floats, which pandas computes with; with `decimals=True` they
    stay exact, as objects. None becomes NaN in columns of floats. For an asynchronous iterator, collect the rows first:
    `to_frame([row async for row in client.history("btcusdt")])`.
    """
    import pandas as pd  # noqa: PLC0415 - optional, and slow to import

    found = list(rows)
    if not found:
        return pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC"))
    names = found[0].__struct_fields__
    time = next(name for name in _TIMES if name in names)
    columns = [name for name in names if name != time and name not in _REPEATED]
    index = pd.DatetimeIndex([getattr(row, time) for row in found], name=time)
    values = {name: [_cell(getattr(row, name), decimals=decimals) for row in found] for name in columns}
    frame: DataFrame = pd.DataFrame(values, index=index)
    return frame.sort_index(kind="stable")


def _cell(value: Any, *, decimals: bool) -> Any:
    return float(value) if isinstance(value, Decimal) and not decimals else value
