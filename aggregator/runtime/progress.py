"""The progress bars of the warm-up, of a replay and of a load, on stderr: shown on a terminal, removed at the end."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aggregator.models import Tier
from aggregator.prices.tiers import Catalog

_LINE_SECONDS = 5.0  # between two lines where there is no terminal


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
def replay_bar(size: int, name: str = "replay") -> Iterator[Callable[[int, str], None]]:
    """Show the bar during the `with` block; yield a callback that takes how much of `size` is done, and a text."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn(name),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %  {task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(name, total=max(size, 1), text="")

    def show(done: int, text: str) -> None:
        bar.update(task, completed=done, text=text)

    with bar:
        yield show


@contextmanager
def load_bar(total: int | None) -> Iterator[Callable[[int, str], None]]:
    """Show the bar during the `with` block; yield a callback that takes how many of `total` are done, and a text.

    Without a `total` the bar only moves. Where stderr is no terminal, the text is a line every five seconds.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("produce"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("produce", total=total, text="")
    last = time.monotonic()

    def show(done: int, text: str) -> None:
        nonlocal last
        if console.is_terminal:
            bar.update(task, completed=done, text=text)
        elif time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    with bar:
        yield show
