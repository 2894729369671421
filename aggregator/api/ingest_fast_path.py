"""The fast path of POST /ingest: a single trade as JSON, answered without Starlette and a task once it is durable.

Any other request, and one that must be refused, goes to the application, which reads the same body again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from starlette.types import Scope

from aggregator.api.buffered_metrics import BufferedMetrics
from aggregator.api.ingest import INGEST_PATH
from aggregator.api.ingest_schema import Ingested
from aggregator.api.policy import Policy
from aggregator.api.price_bodies import Header, Reply
from aggregator.api.server.direct_write import Answer
from aggregator.models import encode
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import BacklogFull, EventLog, Receipt
from aggregator.trades.validation import InvalidTrade

_MOST_BYTES = 4096
_DURABLE_SECONDS = 10.0
_JSON = (b"application/json", b"application/json; charset=utf-8")
_SLOW_HEADERS = frozenset((b"origin", b"content-encoding", b"transfer-encoding", b"expect"))


class NotDurable(Exception):
    """The trade was not stored in time."""


class IngestFastPath:
    """The `Handler` of single trades. Where requests need a key or have a rate, the application serves all of them."""

    path = INGEST_PATH

    def __init__(
        self,
        parser: Parser,
        log: EventLog,
        metrics: BufferedMetrics,
        now: Callable[[], float],
        policy: Policy,
        durable_seconds: float = _DURABLE_SECONDS,
    ) -> None:
        self._parser = parser
        self._log = log
        self._metrics = metrics
        self._now = now
        self._hosts = policy.hosts
        self._deadlines = _Deadlines(durable_seconds)
        vary: list[Header] = [(b"vary", b", ".join(policy.vary))] if policy.vary else []
        self._stored, self._duplicate = (_reply(one, 1 - one, vary) for one in (1, 0))

    def wants(self, scope: Scope) -> bool:
        """As `Handler.wants`: true for a small JSON body, no browser, and a host that is served."""
        if scope["method"] != "POST" or scope["query_string"]:
            return False
        host = media_type = None
        length = b""
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    return False
                host = value
            elif name == b"content-type":
                media_type = value
            elif name == b"content-length":
                length = value
            elif name in _SLOW_HEADERS:
                return False
        if media_type not in _JSON or not length.isdigit() or int(length) > _MOST_BYTES:
            return False
        return host in self._hosts.seen or bool(host and self._hosts.allows(host))

    def begin(self, body: bytes, answer: Answer) -> bool:
        """As `Handler.begin`."""
        started = time.perf_counter()
        try:
            stored = self._log.append([self._parser.one(body, self._now())])
        except (InvalidTrade, BacklogFull):
            return False
        self._deadlines.add(stored)
        stored.add_done_callback(partial(self._answer, answer, started))
        return True

    def _answer(self, answer: Answer, started: float, stored: asyncio.Future[Receipt]) -> None:
        """Answer once the trade is durable. If that takes too long, the application appends it again and answers."""
        if stored.cancelled() or stored.exception() is not None:
            answer(None)
            return
        answer(self._stored if stored.result().accepted else self._duplicate)
        self._metrics.add_other(INGEST_PATH, time.perf_counter() - started)


class _Deadlines:
    """Fails futures that are not done in time, with one timer for all of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[tuple[float, asyncio.Future[Receipt]]] = deque()  # the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Receipt]) -> None:
        """Let a future fail with NotDurable if it is not done in time."""
        loop, waiting = asyncio.get_running_loop(), self._waiting
        while waiting and waiting[0][1].done():
            waiting.popleft()
        waiting.append((loop.time() + self._seconds, future))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        loop, waiting = asyncio.get_running_loop(), self._waiting
        while waiting and (waiting[0][1].done() or waiting[0][0] <= loop.time()):
            _, future = waiting.popleft()
            if not future.done():
                future.set_exception(NotDurable())
        self._timer = loop.call_at(waiting[0][0], self._expire) if waiting else None


def _reply(accepted: int, duplicates: int, vary: list[Header]) -> Reply:
    raw = encode(Ingested("Stored: Success", accepted, duplicates, (), 0))
    headers: list[Header] = [(b"cache-control", b"no-store"), (b"content-type", b"application/json"), *vary]
    return Reply(200, [*headers, (b"content-length", b"%d" % len(raw))], raw)
