"""The outbox's file of trades: each key once, and no trade is given up for another."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from aggregator.models import Trade, TradeKey, encode, trade_key
from aggregator.stores.record_kind import Key, RecordKind
from aggregator.stores.waiting_file import WaitingFile

_decoder = msgspec.json.Decoder(Trade)


def _key(trade: Trade) -> Key:
    return (trade.asset, trade.timestamp, trade.venue, trade.id)


TRADE = RecordKind(
    key=_key,
    encode=lambda trade: encode(trade).decode(),
    decode=_decoder.decode,
    groups=("trades",),
    group=lambda _: "trades",
    columns=("asset", "timestamp", "venue", "trade_id"),
    is_unique=True,
    gives_up=False,
    version=101,
)

_PAGE = """
WHERE asset = ?1 AND timestamp BETWEEN ?2 AND ?3 {after}
ORDER BY timestamp {order}, venue {order}, trade_id {order} LIMIT ?4
"""
_AFTER = "AND (timestamp, venue, trade_id) {} (?5, ?6, ?7)"


class WaitingTrades(WaitingFile[Trade]):
    """The file at `path`, at most `most_bytes` large without its journal. Raises StoreError."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path, most_bytes, TRADE)

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`, of waiting trades."""
        beyond = "" if after is None else _AFTER.format("<" if newest_first else ">")
        query = self.of_all_groups(_PAGE.format(after=beyond, order="DESC" if newest_first else "ASC"))
        found = await self.read(query, (asset, start, end, limit, *(after or ())))
        return sorted((_decoder.decode(body) for _, body in found), key=trade_key, reverse=newest_first)

    async def latest(self, assets: Sequence[str], since: float) -> dict[str, Trade]:
        """Return the last waiting trade of each asset that has one at `since` (unix seconds) or later."""
        query = self.of_all_groups(_PAGE.format(after="", order="DESC"))
        found = await self.read_each(query, [(asset, since, float("inf"), 1) for asset in assets])
        trades = (_decoder.decode(body) for rows in found for _, body in rows)
        return {trade.asset: trade for trade in trades}
