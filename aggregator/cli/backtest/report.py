"""The results of `aggregator backtest`: a table with totals on stdout, and all positions as CSV."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Context, Decimal
from pathlib import Path

import msgspec

from aggregator.api.routing.responses import csv_text
from aggregator.cli.replaced_file import replaced
from aggregator.runtime.table import print_table
from aggregator.strategy.ports import Position, Totals
from aggregator.strategy.totals import COLUMNS, row_of

_MOST_ROWS = 50
_SHOWN = Decimal("1e-8")  # of a profit in the table
_DIGITS = 250  # of a sum of profits

Write = Callable[[Sequence[Position]], None]


class AssetResult(msgspec.Struct, frozen=True):
    """The backtest of one asset: number of trades, totals of closed positions, and whether one is open at the end."""

    asset: str
    trades: int
    totals: Totals
    is_open: bool


def print_report(heading: str, results: Sequence[AssetResult]) -> None:
    """Print the assets that have positions, at most 50, and the totals of all."""
    sys.stdout.write(f"{heading}\n")
    traded = [one for one in results if one.totals.closed or one.is_open]
    rows = [_row(one) for one in traded[:_MOST_ROWS]]
    if rows:
        print_table(("asset", "trades", "closed", "won", "open", "profit", "quote"), rows, texts=("asset", "quote"))
    if len(traded) > _MOST_ROWS:
        sys.stdout.write(f"and {len(traded) - _MOST_ROWS:,} more assets with positions\n")
    closed, won = sum(one.totals.closed for one in results), sum(one.totals.won for one in results)
    told = ", ".join(f"{_money(amount)} {quote}" for quote, amount in _sums(results).items()) or "0"
    still = sum(one.is_open for one in traded)
    sys.stdout.write(f"Total: {closed:,} closed, {won:,} won, {still:,} open, profit {told}\n")
    sys.stdout.flush()


def _row(one: AssetResult) -> list[str]:
    totals = one.totals
    quote, profit = next(iter(totals.profit.items()), ("", Decimal(0)))  # an asset has one quote
    cells = (f"{one.trades:,}", f"{totals.closed:,}", f"{totals.won:,}", "1" if one.is_open else "")
    return [one.asset, *cells, _money(profit), quote]


def _sums(results: Sequence[AssetResult]) -> dict[str, Decimal]:
    """Return the profits by quote currency."""
    exact, sums = Context(prec=_DIGITS), dict[str, Decimal]()
    for one in results:
        for quote, amount in one.totals.profit.items():
            sums[quote] = exact.add(sums.get(quote, Decimal(0)), amount)
    return sums


def _money(amount: Decimal) -> str:
    """Return an amount with at most eight decimals."""
    text = f"{amount.quantize(_SHOWN, context=Context(prec=_DIGITS)):,f}"
    return text.rstrip("0").rstrip(".")


@contextmanager
def csv_file(path: Path | None) -> Iterator[Write]:
    """Write positions to a temporary file during the `with` block, and rename it at its end. Raises CannotGoOn.

    Nothing is left after an error. Without a path, nothing is written.
    """
    if path is None:
        yield lambda _: None
        return
    with replaced(path, "--csv") as beside, beside.open("x", encoding="utf-8", newline="") as file:

        def write(positions: Sequence[Position]) -> None:
            file.write(csv_text(COLUMNS, map(row_of, positions), header=False))

        file.write(csv_text(COLUMNS, []))
        yield write
