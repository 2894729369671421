"""The run of `aggregator backtest`: read the stored trades of each asset page by page, print the table, write CSV."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from aggregator.archive.reads.archive_reads import ArchiveReads
from aggregator.archive.reads.archived_trades import ArchivedTrades
from aggregator.archive.storages.address import parse_archive_url
from aggregator.cli.backtest.report import AssetResult, Write, csv_file, print_report
from aggregator.cli.stopping import result_before_stop
from aggregator.errors import CannotGoOn, StoreError
from aggregator.models import Asset, rfc_3339
from aggregator.numerals import counted
from aggregator.observability.metrics import Metrics
from aggregator.ports import RangeTooLong
from aggregator.prices.tiers import Catalog
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.progress import replay_bar
from aggregator.runtime.trade_stores import open_trade_reader
from aggregator.settings import Settings
from aggregator.stores.sqlite import parse_sqlite_url
from aggregator.strategy.backtest import AssetBacktest, run_backtest
from aggregator.strategy.rules import Rules
from aggregator.strategy.totals import Tally
from aggregator.trades.ports import TradeReader

_SECONDS = 60.0  # of one read: no request waits for it
_MOST_FILES = 10_000  # of the archive, for 1,000 trades: a month of files of five minutes


class Wanted(msgspec.Struct, frozen=True):
    """The options: a range of unix seconds, the rules, symbols (None: all that are listed), the file for CSV."""

    start: float
    end: float
    rules: Rules
    assets: Sequence[str] | None = None
    csv: Path | None = None


async def backtest(settings: Settings, wanted: Wanted, stop: asyncio.Event) -> None:
    """Run the backtest. Raises CannotGoOn, and then writes nothing; so does a stop."""
    results = await result_before_stop(_results(settings, wanted), stop, "stopped; nothing is written")
    trades = sum(one.trades for one in results)
    print_report(_heading(wanted, trades, len(results)), results)
    kept_since = time.time() - settings.trades_retention
    if wanted.start < kept_since and not settings.archive_url:
        sys.stdout.write(f"Trades before {_told(kept_since)} are not read (--trades-retention, --archive-url).\n")


async def _results(settings: Settings, wanted: Wanted) -> list[AssetResult]:
    assets = _assets(catalog_of(settings), wanted.assets, settings)
    results: list[AssetResult] = []
    async with AsyncExitStack() as stack:
        reader = await _open(settings, stack)
        with csv_file(wanted.csv) as write, replay_bar(len(assets), "backtest") as show:
            for asset in assets:
                show(len(results), asset.symbol)
                results.append(await _result(settings, wanted, reader, asset, write))
            if not any(one.trades for one in results):
                raise CannotGoOn(
                    f"no trade of {_named(assets)} is stored between {_told(wanted.start)} and {_told(wanted.end)}",
                    "give another range, or name the store of trades with --trades-url",
                )
    return results


def _assets(catalog: Catalog, names: Sequence[str] | None, settings: Settings) -> list[Asset]:
    if names is None:
        return [*catalog.assets.values()]
    found: dict[str, Asset] = {}
    for name in names:
        symbol = name.strip().lower()
        asset = catalog.find(symbol)
        if asset is None:
            near = catalog.near(symbol, 3) if symbol else ()
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise CannotGoOn(f"{name.strip()[:40]!r} is not in {settings.symbols_file}{meant}")
        found[symbol] = asset
    return [*found.values()]


async def _open(settings: Settings, stack: AsyncExitStack) -> TradeReader:
    """Open the store of trades for reading. A file that is missing is not made."""
    url, mend = settings.trades_url, "name the store of trades with --trades-url"
    if url.startswith("sqlite:"):
        path = parse_sqlite_url(url)
        if not await asyncio.to_thread(path.is_file):
            demo = "" if path.is_absolute() else " (the files of the demo: --data-dir data)"
            raise CannotGoOn(f"there is no file {path}", mend + demo)
    created = await open_trade_reader(settings, Metrics(), stack)
    if created is None:
        raise CannotGoOn(f"the trades of {url} cannot be read by another process", mend)
    if not settings.archive_url:
        return created.reader
    reads = ArchiveReads(parse_archive_url(settings.archive_url), _SECONDS, _MOST_FILES)
    stack.callback(reads.close)
    return ArchivedTrades(created.reader, reads, settings.trades_retention, time.time, _SECONDS)


async def _result(settings: Settings, wanted: Wanted, reader: TradeReader, asset: Asset, write: Write) -> AssetResult:
    symbol, most, tally, trades = asset.symbol, settings.window_trades, Tally(), 0
    one = AssetBacktest(symbol, wanted.rules, most, settings.allowed_lateness)
    try:
        async for number, closed in run_backtest(one, reader, symbol, wanted.start, wanted.end, most):
            trades += number
            write(closed)
            for position in closed:
                tally.add(position, asset.quote)
    except (StoreError, RangeTooLong) as error:
        raise CannotGoOn(f"the trades of {symbol} cannot be read: {error}") from error
    if one.open is not None:
        write([one.open])
    return AssetResult(symbol, trades, tally.totals(), is_open=one.open is not None)


def _heading(wanted: Wanted, trades: int, assets: int) -> str:
    rules = wanted.rules
    stop = "no stop" if rules.stop is None else f"stop at -{rules.stop} %"
    return (
        f"Paper trading: buy for {rules.amount} after -{rules.drop} % in a minute, sell at +{rules.gain} %, {stop}\n"
        f"{counted(trades, 'trade')} of {counted(assets, 'asset')}, {_told(wanted.start)} to {_told(wanted.end)}"
    )


def _told(seconds: float) -> str:
    return rfc_3339(seconds)


def _named(assets: Sequence[Asset]) -> str:
    return assets[0].symbol if len(assets) == 1 else f"{len(assets):,} assets"
