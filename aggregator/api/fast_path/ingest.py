"""The fast path of POST /ingest: a trade as JSON, or some lines of JSON, without Starlette and without a task.

Any other request, and one that must be refused, goes to the application, which reads the same body again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aggregator.api.access.policy import Policy
from aggregator.api.fast_path.buffered_metrics import BufferedMetrics
from aggregator.api.routing.replies import Header, Reply
from aggregator.api.server.direct_write import Answer, Take
from aggregator.api.trades.ingest import DURABLE_SECONDS, INGEST_PATH, LINE_TYPES, MOST_LINES
from aggregator.api.trades.ingest_schema import Ingested
from aggregator.models import Trade, encode
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import BacklogFull, EventLog, Receipt
from aggregator.trades.validation import InvalidTrade

_MOST_BYTES = 4096  # of a JSON body
_MOST_LINES_BYTES = 60_000  # of lines of JSON, some 400 trades: less than uvicorn reads without a pause
_JSON = (b"application/json", b"application/json; charset=utf-8")
_LINES = tuple(name.encode() for name in LINE_TYPES)
_SLOW_HEADERS = frozenset((b"origin", b"content-encoding", b"transfer-encoding", b"expect"))


class NotDurable(Exception):
    """The trades were not stored in time."""


class IngestFastPath:
    """The `Handler` of small requests.

    Where requests need a key, also one for reading only, or have a rate, the application serves all of them.
    """

    path = INGEST_PATH

    def __init__(
        self,
        parser: Parser,
        log: EventLog,
        metrics: BufferedMetrics,
        now: Callable[[], float],
        policy: Policy,
        parse_seconds: Callable[[float], None],
        durable_seconds: float = DURABLE_SECONDS,
    ) -> None:
        self._parser = parser
        self._log = log
        self._metrics = metrics
        self._now = now
        self._hosts = policy.hosts
        self._needs_key = policy.keys.reads_need_one or policy.keys.writes_need_one
        self._parse_seconds = parse_seconds
        self._deadlines = _Deadlines(durable_seconds)
        self._vary: list[Header] = [(b"vary", b", ".join(policy.vary))] if policy.vary else []
        self._single = {one: _reply(one, self._vary) for one in (Receipt(1, 0), Receipt(0, 1))}

    def taker(self, scope: Mapping[str, Any]) -> Take | None:
        """As `Handler.taker`: for a small body of JSON or of its lines, no browser, and a host that is served."""
        if self._needs_key or scope["method"] != "POST" or scope["query_string"]:
            return None
        host = media_type = None
        length = b""
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    return None
                host = value
            elif name == b"content-type":
                media_type = value
            elif name == b"content-length":
                length = value
            elif name in _SLOW_HEADERS:
                return None
        if not length.isdigit() or not (host in self._hosts.seen or (host and self._hosts.allows(host))):
            return None
        if media_type in _JSON and int(length) <= _MOST_BYTES:
            return self._take_one
        return self._take_lines if media_type in _LINES and int(length) <= _MOST_LINES_BYTES else None

    def _take_one(self, body: bytes, answer: Answer) -> bool:
        """Take a JSON object, as `Take`."""
        started = time.perf_counter()
        try:
            trade = self._parser.single(body, self._now())
        except InvalidTrade:
            return False
        return self._append([trade], answer, started)

    def _take_lines(self, body: bytes, answer: Answer) -> bool:
        """Take lines of JSON, as `Take`: those that are all trades."""
        if body.count(b"\n") > MOST_LINES:
            return False
        started = time.perf_counter()
        taken = self._parser.lines(body, self._now())
        if taken.rejected or not taken.trades:
            return False
        self._parse_seconds(time.perf_counter() - started)
        return self._append(taken.trades, answer, started)

    def _append(self, trades: Sequence[Trade], answer: Answer, started: float) -> bool:
        try:
            stored = self._log.append(trades)
        except BacklogFull:
            return False
        self._deadlines.add(stored)
        stored.add_done_callback(partial(self._answer, answer, started))
        return True

    def _answer(self, answer: Answer, started: float, stored: asyncio.Future[Receipt]) -> None:
        """Answer once the trades are durable. If that takes too long, the application appends and waits once more."""
        if stored.cancelled() or stored.exception() is not None:
            answer(None)
            return
        receipt = stored.result()
        answer(self._single.get(receipt) or _reply(receipt, self._vary))
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


def _reply(receipt: Receipt, vary: list[Header]) -> Reply:
    raw = encode(Ingested("Stored: Success", receipt.accepted, receipt.duplicates, (), 0))
    headers: list[Header] = [(b"cache-control", b"no-store"), (b"content-type", b"application/json"), *vary]
    return Reply(200, [*headers, (b"content-length", b"%d" % len(raw))], raw)
