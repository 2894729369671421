"""The progress bars of the warm-up and of a replay on stderr; shown only on a terminal, and removed at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aggregator.models import Tier
from aggregator.prices.tiers import Catalog


@contextmanager
def warm_up_bar(catalog: Catalog) -> Iterator[Callable[[Tier, int], None]]:
    """Show the bar during the `with` block; yield a callback that takes a tier and how many more assets are done."""
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
    task = bar.add_task("warm-up", total=len(catalog.assets), tier="")

    def advance(tier: Tier, assets: int) -> None:
        bar.update(task, advance=assets, tier=tier.value)
        if bar.finished:
            bar.stop()

    bar.start()
    try:
        yield advance
    finally:
        bar.stop()


@contextmanager
def replay_bar(size: int) -> Iterator[Callable[[int, str], None]]:
    """Show the bar during the `with` block; yield a callback that takes how much of `size` is done, and a text."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("replay"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %  {task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("replay", total=max(size, 1), text="")

    def show(done: int, text: str) -> None:
        bar.update(task, completed=done, text=text)

    with bar:
        yield show
