"""`aggregator dead-letters list|show|replay|delete`: what stores and outlets refused, and why.

These are prices and trades that could not be stored, and events that an outlet refused. It may be used while the
service runs.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

from aggregator.cli.command import Command, Flags, start
from aggregator.cli.ingest_call import CannotReplay, IngestCall
from aggregator.cli.letter_boxes import Letter, LetterBox, boxes
from aggregator.errors import StoreError
from aggregator.runtime.lifecycle import complain
from aggregator.settings import PREFIX

_PAGE = 500
_LARGEST_ID = (1 << 63) - 1  # SQLite's
_API_KEY = f"{PREFIX}API_KEY"  # no setting, and refused as one: who means API_KEYS must not run without keys

_Found = tuple[LetterBox, Letter]


class UnknownDeadLetter(ValueError):
    """No id is given, or one that `list` does not show."""


async def command(known: Sequence[LetterBox], action: str, ids: Sequence[str]) -> int:
    """Do `action` on the dead letters with these ids, or `all`; return how many still fail.

    Raises UnknownDeadLetter, CannotReplay, StoreError.
    """
    async with AsyncExitStack() as stack:
        for box in known:
            stack.push_async_callback(box.close)
            await box.open()
        if action == "list":
            return await _list(known)
        return sum([await _do(box, action, letter) for box, letter in await _chosen(known, ids)])


async def _list(known: Sequence[LetterBox]) -> int:
    count = 0
    async for _, letter in _all(known):
        _print(letter.line)
        count += 1
    _print(f"{count} dead letters")
    return 0


async def _do(box: LetterBox, action: str, letter: Letter) -> int:
    """Do an action; return 1 if the letter still fails."""
    if action == "show":
        _print(letter.text)
    elif action == "replay":
        reason = await box.replay(letter.id)
        _print(f"{letter.id}  {f'still fails: {reason}' if reason else box.replayed}")
        return int(bool(reason))
    else:
        await box.forget(letter.id)
        _print(f"{letter.id}  deleted")
    return 0


async def _chosen(known: Sequence[LetterBox], ids: Sequence[str]) -> list[_Found]:
    if list(ids) == ["all"]:
        return [found async for found in _all(known)]
    if not ids:
        raise UnknownDeadLetter("say which: ids as `dead-letters list` shows them, or all")
    return [await _one(known, text) for text in ids]


async def _one(known: Sequence[LetterBox], text: str) -> _Found:
    is_id = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_ID)) and int(text) <= _LARGEST_ID
    for box in known if is_id else ():
        for letter in await box.letters(int(text) - 1, 1):
            if letter.id == int(text):
                return box, letter
    raise UnknownDeadLetter(f"there is no dead letter {text}; `dead-letters list` shows their ids")


async def _all(known: Sequence[LetterBox]) -> AsyncIterator[_Found]:
    for box in known:
        last = 0
        while page := await box.letters(last, _PAGE):
            for letter in page:
                yield box, letter
            last = page[-1].id


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "show", "replay", "delete"])
    parser.add_argument("ids", nargs="*", metavar="id", help="ids as `list` shows them, or `all`")
    parser.add_argument("--kind", choices=["all", "prices", "trades", "outlets"], default="all", help="default: all")
    parser.add_argument(
        "--url",
        default="http://127.0.0.1:8080",
        help="the service that `replay` sends rejected trades to; default http://127.0.0.1:8080. "
        f"The environment variable {_API_KEY} has its API key, if it needs one",
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    key = os.environ.pop(_API_KEY, None)
    settings = start(flags)
    paths = (settings.outbox_path, settings.trades_outbox_path, settings.dead_letters_path, settings.outlets_path)
    known = boxes(options.kind, *paths, IngestCall(options.url, key))
    if not known:
        return complain(1, _missing(options.kind, *map(str, paths)))
    try:
        return int(asyncio.run(command(known, options.action, options.ids)) > 0)
    except (StoreError, UnknownDeadLetter, CannotReplay) as error:
        return complain(1, str(error))


def _missing(kind: str, outbox: str, trades_outbox: str, dead_letters: str, outlets: str) -> str:
    prices = f"there is no outbox at {outbox}; name the file with --outbox-path"
    trades = (
        f"there are no dead letters at {dead_letters} and no outbox at {trades_outbox};"
        " name a file with --dead-letters-path or --trades-outbox-path"
    )
    refused = f"there is no outbox of outlets at {outlets}; name the file with --outlets-path"
    nothing = (
        f"there is no outbox and no file of dead letters at {outbox}, {trades_outbox}, {dead_letters} or {outlets};"
        " name their folder with --data-dir (that of the demo: --data-dir data)"
    )
    return {"prices": prices, "trades": trades, "outlets": refused}.get(kind, nothing)


COMMAND = Command(
    "list, show, send again or delete the prices and trades that could not be stored, and events that outlets refused",
    _run,
    ["data_dir", "outbox_path", "trades_outbox_path", "dead_letters_path", "outlets_path"],
    _add_options,
)
