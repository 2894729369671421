"""`aggregator dead-letters list|show|replay|delete`: the prices that DynamoDB refused for good.

It may be used while the service runs.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aggregator.cli.command import Command, Flags, start
from aggregator.errors import StoreError
from aggregator.runtime.lifecycle import complain
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.waiting_file import DeadLetter

_PAGE = 500
_LARGEST_ID = (1 << 63) - 1  # SQLite's
_UNBOUNDED = 1 << 62  # bytes; this command adds only what was in the outbox before


class UnknownDeadLetter(ValueError):
    """No id is given, or one that `list` does not show."""


async def command(path: Path, action: str, ids: Sequence[str]) -> None:
    """Do `action` on the dead letters with these ids, or `all`. Raises UnknownDeadLetter, StoreError."""
    outbox = OutboxFile(path, _UNBOUNDED)
    try:
        await outbox.open()
        if action == "list":
            await _list(outbox)
        else:
            for letter in await _chosen(outbox, ids):
                await _do(outbox, action, letter)
    finally:
        await outbox.close()


async def _list(outbox: OutboxFile) -> None:
    count = 0
    async for letter in _all(outbox):
        refused = datetime.fromtimestamp(letter.refused_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        _print(f"{letter.id}  {letter.asset}  {letter.timestamp!r}  refused {refused} UTC  {letter.reason}")
        count += 1
    _print(f"{count} dead letters")


async def _do(outbox: OutboxFile, action: str, letter: DeadLetter) -> None:
    if action == "show":
        _print(f"{letter.reason}\n{letter.body}")
    elif action == "replay":
        await outbox.replay(letter)
        _print(f"{letter.id}  waits to be sent again")
    else:
        await outbox.forget(letter)
        _print(f"{letter.id}  deleted")


async def _chosen(outbox: OutboxFile, ids: Sequence[str]) -> list[DeadLetter]:
    if list(ids) == ["all"]:
        return [letter async for letter in _all(outbox)]
    if not ids:
        raise UnknownDeadLetter("say which: ids as `dead-letters list` shows them, or all")
    return [await _one(outbox, text) for text in ids]


async def _one(outbox: OutboxFile, text: str) -> DeadLetter:
    is_id = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_ID)) and int(text) <= _LARGEST_ID
    letter = await outbox.dead_letter(int(text)) if is_id else None
    if letter is None:
        raise UnknownDeadLetter(f"there is no dead letter {text}; `dead-letters list` shows their ids")
    return letter


async def _all(outbox: OutboxFile) -> AsyncIterator[DeadLetter]:
    last = 0
    while page := await outbox.dead_letters(last, _PAGE):
        for letter in page:
            yield letter
        last = page[-1].id


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "show", "replay", "delete"])
    parser.add_argument("ids", nargs="*", metavar="id", help="ids as `list` shows them, or `all`")


def _run(options: argparse.Namespace, flags: Flags) -> int:
    path = start(flags).outbox_path
    if not path.exists():
        return complain(1, f"there is no outbox at {path}; name the file with --outbox-path")
    try:
        asyncio.run(command(path, options.action, options.ids))
    except (StoreError, UnknownDeadLetter) as error:
        return complain(1, str(error))
    return 0


COMMAND = Command(
    "list, show, send again or delete the prices that DynamoDB refused for good", _run, ["outbox_path"], _add_options
)
