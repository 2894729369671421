"""`aggregator dead-letters list|show|replay|delete`: what DynamoDB refused for good, while the service runs or not."""

import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aggregator.stores.outbox_file import DeadLetter, OutboxFile

_PAGE = 500
_LARGEST_ID = (1 << 63) - 1  # SQLite's
_UNBOUNDED = 1 << 62  # this tool adds nothing but what was there before


class NoSuchLetter(ValueError):
    """An id that `list` does not show, or none where one is needed."""


async def command(path: Path, action: str, ids: Sequence[str]) -> None:
    """Do `action` on the letters with these ids, or `all`. Raises NoSuchLetter, StoreError."""
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
        _say(f"{letter.id}  {letter.asset}  {letter.timestamp!r}  refused {refused} UTC  {letter.reason}")
        count += 1
    _say(f"{count} dead letters")


async def _do(outbox: OutboxFile, action: str, letter: DeadLetter) -> None:
    if action == "show":
        _say(f"{letter.reason}\n{letter.body}")
    elif action == "replay":
        await outbox.replay(letter)
        _say(f"{letter.id}  waits to be sent again")
    else:
        await outbox.forget(letter)
        _say(f"{letter.id}  deleted")


async def _chosen(outbox: OutboxFile, ids: Sequence[str]) -> list[DeadLetter]:
    if list(ids) == ["all"]:
        return [letter async for letter in _all(outbox)]
    if not ids:
        raise NoSuchLetter("say which: ids as `dead-letters list` shows them, or all")
    return [await _one(outbox, text) for text in ids]


async def _one(outbox: OutboxFile, text: str) -> DeadLetter:
    is_id = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_ID)) and int(text) <= _LARGEST_ID
    letter = await outbox.dead_letter(int(text)) if is_id else None
    if letter is None:
        raise NoSuchLetter(f"there is no dead letter {text}")
    return letter


async def _all(outbox: OutboxFile) -> AsyncIterator[DeadLetter]:
    last = 0
    while page := await outbox.dead_letters(last, _PAGE):
        for letter in page:
            yield letter
        last = page[-1].id


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
