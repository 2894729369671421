"""Pages of archived trades: one asset, a range of times, the order of keys.

`read_page` blocks: it belongs into a thread. It opens few files at a time, from the end of the range where the page
begins, until the page is full.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice

import msgspec

from aggregator.archive.address import ArchiveAddress
from aggregator.archive.archive_files import ArchiveFiles
from aggregator.archive.datasets import TRADES
from aggregator.archive.duck import Connection, file_url, quoted
from aggregator.archive.manifest import FileEntry
from aggregator.archive.sql_bounds import Span
from aggregator.archive.sql_errors import Interrupted, reading
from aggregator.errors import StoreRefused
from aggregator.models import Side, Trade, TradeKey
from aggregator.trades.ports import RangeTooLong

_FIRST, _MORE = 2, 24  # files that are opened together
_COLUMNS = "epoch_us(timestamp), price::VARCHAR, volume::VARCHAR, venue, id, side, sequence_number, late, exact"


class Page(msgspec.Struct, frozen=True):
    """A page to read: at most `limit` trades of `asset` in `span`, behind the key `after` in this direction."""

    asset: str
    span: Span
    limit: int
    newest_first: bool
    after: TradeKey | None = None

    @property
    def rest(self) -> Span:
        """The part of the span that can have trades behind `after`."""
        if self.after is None:
            return self.span
        edge = self.after.timestamp
        return self.span.intersection(Span(end=edge) if self.newest_first else Span(start=edge))


def read_page(
    connection: Connection, address: ArchiveAddress, page: Page, most_files: int, is_stopped: Callable[[], bool]
) -> list[Trade]:
    """Return the trades of a page. Raises RangeTooLong, StoreUnavailable, StoreRefused and Interrupted."""
    found: list[Trade] = []
    opened, size = 0, _FIRST
    files = _in_order(ArchiveFiles(address, connection), page)
    while len(found) < page.limit and (some := [*islice(files, size)]):
        if is_stopped():
            raise Interrupted
        opened += len(some)
        if opened > most_files:
            raise RangeTooLong(f"more than {most_files} files of the archive would be read")
        urls = [file_url(address, one.path) for one in some]
        with reading():
            found += _rows(connection, urls, page, page.limit - len(found))
        size = _MORE
    return found


def _in_order(lake: ArchiveFiles, page: Page) -> Iterator[FileEntry]:
    """Yield the files of the page, the one with its first trades first. Ranges of files do not overlap."""
    days = lake.days_of(TRADES.name, page.rest)
    for day in reversed(days) if page.newest_first else days:
        entries = lake.entries_of(TRADES.name, [day], page.rest)
        yield from reversed(entries) if page.newest_first else entries


def _rows(connection: Connection, urls: Sequence[str], page: Page, limit: int) -> Iterable[Trade]:
    order, sign = ("DESC", "<") if page.newest_first else ("ASC", ">")
    span = page.rest
    conditions = ["asset = $asset", f"timestamp >= {_time(span.start)}", f"timestamp <= {_time(span.end)}"]
    values: dict[str, object] = {"asset": page.asset}
    if page.after is not None:
        conditions.append(f"(timestamp, venue, id) {sign} ({_time(page.after.timestamp)}, $venue, $id)")
        values |= {"venue": page.after.venue, "id": page.after.id}
    query = (
        f"SELECT {_COLUMNS} FROM read_parquet([{', '.join(map(quoted, urls))}]) WHERE {' AND '.join(conditions)}"
        f" ORDER BY timestamp {order}, venue {order}, id {order} LIMIT {limit}"
    )
    return [_trade(page.asset, row) for row in connection.execute(query, values).fetchall()]


def _time(seconds: float) -> str:
    return f"make_timestamptz({round(min(max(seconds, 0.0), 1e11) * 1e6)})"


def _trade(asset: str, row: Sequence[object]) -> Trade:
    microseconds, price, volume, venue, trade_id, side, sequence, late, exact = row
    digits: dict[str, str] = json.loads(str(exact)) if exact else {}
    found_price = _decimal(digits.get("price", price))
    if found_price is None:
        raise StoreRefused("the archive has a trade without a price")
    return Trade(
        asset,
        found_price,
        _decimal(digits.get("volume", volume)),
        int(str(microseconds)) / 1e6,
        str(venue),
        str(trade_id),
        None if side is None else Side(str(side)),
        None if sequence is None else int(str(sequence)),
        bool(late),
    )


def _decimal(value: object) -> Decimal | None:
    """Return a number without the zeros that DECIMAL(38,18) adds."""
    if value is None:
        return None
    text = str(value)
    return Decimal(text.rstrip("0").rstrip(".") if "." in text and "e" not in text.lower() else text)
