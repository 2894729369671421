"""A table on stdout."""

import sys
from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.table import Table

_WIDTH = 100  # characters, where stdout is no terminal


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], texts: Collection[str]) -> None:
    """Print rows of cells under their columns; those not in `texts` are numbers, and aligned to the right."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in texts else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
