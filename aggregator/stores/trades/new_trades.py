"""Comparison of trades with those that are stored: in blocks, and in rows of the journal of other processes."""

from collections.abc import Sequence

from aggregator.models import Trade, trade_key
from aggregator.stores.database import Connection
from aggregator.stores.trades import blocks
from aggregator.stores.trades.foreign_rows import ForeignRow
from aggregator.stores.trades.journal import News
from aggregator.stores.trades.pending import Candidates, Move


def new_trades(
    connection: Connection, candidates: Candidates, news: News
) -> tuple[dict[str, float | None], Sequence[Trade]]:
    """Return the newest times of assets in blocks, and the candidates that neither blocks nor other processes have."""
    trades = candidates.trades
    assets = {trade.asset for trade in trades} if news.is_gap else candidates.assets
    newest = {asset: blocks.newest_time(connection, asset) for asset in assets}
    asked, stored = range(len(trades)) if news.is_gap else candidates.doubtful, blocks.StoredKeys(connection)
    known = {index for index in asked if _may_have(newest, trades[index]) and stored.has(trades[index])}
    new = [trade for index, trade in enumerate(trades) if index not in known] if known else trades
    return newest, without_foreign(new, news.rows)


def without_foreign(trades: Sequence[Trade], rows: Sequence[ForeignRow]) -> Sequence[Trade]:
    """Return the trades that rows of other processes do not have; the same object if that is all of them."""
    if not rows:
        return trades
    assets = {trade.asset for trade in trades}
    others = {
        (trade.asset, *trade_key(trade)) for row in rows if not assets.isdisjoint(row.newest) for trade in row.trades
    }
    if not others:
        return trades
    left = [trade for trade in trades if (trade.asset, *trade_key(trade)) not in others]
    return trades if len(left) == len(trades) else left


def not_moved(connection: Connection, move: Move) -> list[list[Trade]]:
    """Return the trades of a move by asset, without those that blocks have already."""
    stored = blocks.StoredKeys(connection)
    return [[trade for trade in trades if not stored.has(trade)] for trades in move.lists]


def _may_have(newest: dict[str, float | None], trade: Trade) -> bool:
    """Whether blocks have a trade as new as this one, as far as is known."""
    if trade.asset not in newest:
        return True
    last = newest[trade.asset]
    return last is not None and trade.timestamp <= last
