"""The run of `aggregator replay`: open the file, send its batches when they are due, print the summary."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from aggregator.cli.ingest_client import IngestClient, WrongAddress
from aggregator.cli.replay.batches import Batch, Pace, batches
from aggregator.cli.replay.files import Broken, Source, open_csv, open_ndjson
from aggregator.cli.replay.parquet import open_parquet
from aggregator.cli.replay.recordings import open_recording
from aggregator.cli.replay.rows import Rows, Unusable
from aggregator.cli.replay.sender import Counts, Sender, Stopped, unless_stopped
from aggregator.errors import CannotGoOn
from aggregator.models import FUTURE_TOLERANCE
from aggregator.numerals import counted
from aggregator.runtime.lifecycle import complain, run
from aggregator.runtime.progress import replay_bar

_FORMATS = {"csv": open_csv, "ndjson": open_ndjson, "parquet": open_parquet, "rec": open_recording}
_ENDINGS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet", ".rec": "rec"}
_CALL_SECONDS = 30.0

Show = Callable[[int, str], None]


class Wanted(msgspec.Struct, frozen=True):
    """The options. `speed` None: as fast as the service takes the trades. `format` None: by the name of the file."""

    path: Path
    url: str
    speed: float | None = 1.0
    format: str | None = None
    venue: str | None = None
    asset: str | None = None
    shift: bool = False
    patience: float = 60.0


def replay(wanted: Wanted) -> int:
    """Replay the file; return 0, 1 if a trade was rejected or the replay could not go on, 2 for wrong usage."""
    now = time.time_ns() // 1000
    with ExitStack() as stack:
        try:
            client = IngestClient(wanted.url, os.environ.get("AGGREGATOR_API_KEY"), _CALL_SECONDS)
            stack.callback(client.close)
            source = _open(wanted, now)
        except (Unusable, WrongAddress) as error:
            return complain(2, str(error))
        stack.callback(source.close)
        latest = None if wanted.shift else now + round(FUTURE_TOLERANCE * 1e6)
        sending = batches(source.rows, Pace(wanted.speed, latest))
        return run(lambda stop: _replay(source, sending, Sender(client, wanted.patience, stop), stop))


def _open(wanted: Wanted, now: int) -> Source:
    rows = Rows(wanted.asset, wanted.venue, now if wanted.shift else None)
    try:
        return _FORMATS[wanted.format or _format_of(wanted.path)](wanted.path, rows)
    except OSError as error:
        raise Unusable(f"cannot read {wanted.path}: {error.strerror or error}") from error


def _format_of(path: Path) -> str:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    found = _ENDINGS.get(plain.suffix.lower())
    if found is None:
        path.stat()  # of a file that is missing, the format is not to be asked for: OSError
        raise Unusable(f"the name of {path} does not tell its format", f"say --format {'|'.join(_FORMATS)}")
    return found


async def _replay(source: Source, sending: Iterator[Batch], sender: Sender, stop: asyncio.Event) -> None:
    """Send everything, and print the summary however it ends. Raises CannotGoOn."""
    began, counts = time.monotonic(), sender.counts
    try:
        with replay_bar(source.size) as show, suppress(Stopped):
            await _send(source, sending, sender, stop, show)
    except Broken as error:
        raise CannotGoOn(f"the file cannot be read further: {error}") from error
    finally:
        _print(_summary(counts, time.monotonic() - began, stopped=stop.is_set()))
    if counts.rejected:
        verb = "was" if counts.rejected == 1 else "were"
        raise CannotGoOn(f"{counted(counts.rejected, 'trade')} {verb} rejected")


async def _send(source: Source, sending: Iterator[Batch], sender: Sender, stop: asyncio.Event, show: Show) -> None:
    """Send each batch once it is due and the one before it is taken; the next one is read meanwhile."""
    start = time.monotonic()
    under_way: asyncio.Task[None] | None = None
    try:
        for batch in sending:
            if under_way is not None:
                await under_way
                show(source.position(), _progress(sender.counts))
            await _wait(start + batch.due, stop, lambda text: show(source.position(), text))
            if stop.is_set():
                return
            under_way = asyncio.create_task(sender.send(batch))
            await asyncio.sleep(0)  # the call begins, in its thread, before the next batch is read
    finally:
        if under_way is not None:
            await under_way


async def _wait(due: float, stop: asyncio.Event, show: Callable[[str], None]) -> None:
    seconds = due - time.monotonic()
    if seconds <= 0:
        return
    if seconds > 1:
        show(f"next trade in {seconds:.0f} s")
    await unless_stopped(stop, asyncio.sleep(seconds))


def _progress(counts: Counts) -> str:
    return f"{counts.sent:,} sent, {counts.rejected:,} rejected"


def _summary(counts: Counts, seconds: float, *, stopped: bool) -> list[str]:
    how = "stopped; " if stopped else ""
    rate = counts.sent / max(seconds, 1e-6)
    sent = f"{counted(counts.sent, 'trade')} in {counted(counts.batches, 'call')}"
    lines = [
        f"{how}sent {sent}, {seconds:.1f} s, {rate:,.0f} a second",
        f"accepted {counts.accepted:,}, duplicates {counts.duplicates:,}, rejected {counts.rejected:,}",
    ]
    lines += [f"calls repeated: {counts.retries:,}"] if counts.retries else []
    lines += [f"  row {number}: {reason}" for number, reason in counts.reasons]
    lines += [f"  and {rest:,} more"] if (rest := counts.rejected - len(counts.reasons)) else []
    return lines


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
