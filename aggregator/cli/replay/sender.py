"""Sends batches one after the other, and each until the service has taken it: pauses, retries, counts."""

import asyncio
import sys
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

import msgspec

from aggregator.cli.ingest_client import Reply, Unreachable
from aggregator.cli.replay.batches import Batch
from aggregator.errors import CannotGoOn, printable
from aggregator.exchanges.retry_after import retry_after
from aggregator.resilience.backoff import Backoff

MOST_REASONS = 10  # rejections that the summary shows
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 60.0  # seconds, whatever a Retry-After says
_NDJSON = "application/x-ndjson"
_BUSY = (429, 503)
_FAILING = (408, 500, 502, 504)  # of a proxy in between, or of a service that is being replaced
_NEEDS_KEY = (401, 403)
_REDIRECTS = range(300, 400)


class Client(Protocol):
    """Sends a body to POST /ingest."""

    def post(self, body: bytes, content_type: str) -> Reply:
        """Block until there is an answer. Raises Unreachable."""


class Stopped(Exception):
    """The replay was stopped while a batch waited to be sent again; it is not known to be stored."""


class Rejected(msgspec.Struct, frozen=True):
    """A trade that the service refused. `index` is its place in the batch."""

    index: int
    reason: str = ""
    code: str = ""


class _Answer(msgspec.Struct, frozen=True):
    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejected] | None = None
    msg: str = ""


class Counts:
    """The outcome of the trades so far. `reasons` has the first rejections, by their place in the file."""

    def __init__(self) -> None:
        self.sent = 0
        self.batches = 0
        self.accepted = 0
        self.duplicates = 0
        self.rejected = 0
        self.retries = 0
        self.reasons: list[tuple[int, str]] = []


class Sender:
    """Sends batches. Without an answer that takes a batch it is sent again, for at most `patience` seconds a batch."""

    def __init__(self, client: Client, patience: float, stop: asyncio.Event) -> None:
        self._client = client
        self._patience = patience
        self._stop = stop
        self.counts = Counts()

    async def send(self, batch: Batch) -> None:
        """Return once the service has taken the batch. Raises Stopped, and CannotGoOn where it does not take it.

        A batch that is sent again is stored once: the key of a trade does not depend on the call.
        """
        deadline = time.monotonic() + self._patience
        backoff = Backoff()
        while True:
            try:
                reply = await asyncio.to_thread(self._client.post, batch.body, _NDJSON)
            except Unreachable as error:
                why, asked = str(error), None
            else:
                if self._is_taken(batch, reply):
                    return
                why, asked = f"HTTP {reply.status}", _seconds(reply.headers)
            await self._pause(backoff, asked, deadline, why)

    def _is_taken(self, batch: Batch, reply: Reply) -> bool:
        """Whether the service took the batch; if not, it may be sent again. Raises CannotGoOn if it must not."""
        if reply.status in _BUSY or reply.status in _FAILING:
            return False
        answer = _decoded(reply)
        if reply.status not in (200, 400) or answer.rejected is None:
            raise CannotGoOn(*_refusal(reply, answer))
        self._count(batch, answer, answer.rejected)
        return True

    def _count(self, batch: Batch, answer: _Answer, rejected: list[Rejected]) -> None:
        counts, rows = self.counts, len(batch.numbers)
        answered = answer.accepted + answer.duplicates + len(rejected)
        if answered != rows or any(not 0 <= one.index < rows for one in rejected):
            raise CannotGoOn(f"the answer is about {answered} other trades than the {rows} that were sent")
        counts.batches += 1
        counts.sent += rows
        counts.accepted += answer.accepted
        counts.duplicates += answer.duplicates
        counts.rejected += len(rejected)
        for one in rejected[: MOST_REASONS - len(counts.reasons)]:
            counts.reasons.append((batch.numbers[one.index], printable(one.reason or one.code)))

    async def _pause(self, backoff: Backoff, asked: float | None, deadline: float, why: str) -> None:
        seconds = backoff.seconds if asked is None else min(max(asked, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        if time.monotonic() + seconds > deadline:
            raise CannotGoOn(
                f"the service has not taken a batch for {self._patience:g} s: {why}",
                "start the same command again later: what is stored already counts as duplicates",
            )
        if not self.counts.retries:
            sys.stderr.write(
                f"aggregator: the service does not take trades yet: {why}; trying for {self._patience:g} s\n"
            )
        self.counts.retries += 1
        await unless_stopped(self._stop, backoff.pause() if asked is None else asyncio.sleep(seconds))
        if self._stop.is_set():
            raise Stopped


async def unless_stopped(stop: asyncio.Event, waiting: Coroutine[Any, Any, None]) -> None:
    """Wait for `waiting`, or until `stop` is set."""
    tasks = [asyncio.create_task(waiting), asyncio.create_task(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _seconds(headers: Mapping[str, str]) -> float | None:
    return retry_after(headers.get("retry-after", ""), headers.get("date", ""), time.time())


def _decoded(reply: Reply) -> _Answer:
    try:
        return msgspec.json.decode(reply.body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Answer()


def _refusal(reply: Reply, answer: _Answer) -> tuple[str, str]:
    said = f": {printable(answer.msg)}" if answer.msg else ""
    if reply.status in _NEEDS_KEY:
        mend = "set AGGREGATOR_API_KEY to one of its API keys"
        return f"the service refused the call with HTTP {reply.status}{said}", mend
    if reply.status in _REDIRECTS:
        return f"the service redirects to {printable(reply.headers.get('location', ''))}", "give that address as --url"
    return f"the service answered with HTTP {reply.status}{said}", "check that --url is the address of this service"
