"""The progress bar of the first fill: only on a terminal, gone when done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aggregator.models import Tier
from aggregator.prices.tiers import Catalog


@contextmanager
def filling(catalog: Catalog) -> Iterator[Callable[[Tier, int], None]]:
    """Yield what is to be told how many of a tier were filled; draws on stderr, where log lines scroll as usual."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("first prices: {task.fields[tier]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("fill", total=len(catalog.assets), tier="")

    def filled(tier: Tier, assets: int) -> None:
        bar.update(task, advance=assets, tier=tier.value)
        if bar.finished:
            bar.stop()

    bar.start()
    try:
        yield filled
    finally:
        bar.stop()
