"""A table on stdout, or in a file."""

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

_WIDTH = 100  # characters, where stdout is no terminal


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    texts: Collection[str],
    file: TextIO | None = None,
    width: int | None = None,
) -> None:
    """Print rows of cells under their columns; those not in `texts` are numbers, and aligned to the right.

    They go to stdout unless `file` is given. `width` is in characters; None: that of the terminal, or 100.
    """
    out = file or sys.stdout
    console = Console(file=out, width=width or (None if out.isatty() else _WIDTH), highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in texts else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
