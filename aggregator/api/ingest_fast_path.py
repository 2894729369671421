"""The fast path of POST /ingest: a single trade as JSON, answered without Starlette once it is durable.

Any other request, and one that must be refused, goes to the application, which reads the same body again.
"""

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.api.buffered_metrics import BufferedMetrics
from aggregator.api.ingest import INGEST_PATH
from aggregator.api.ingest_schema import Ingested
from aggregator.api.policy import Policy
from aggregator.api.price_bodies import Header, Reply
from aggregator.api.server.direct_write import DirectWrite
from aggregator.models import encode
from aggregator.trades.ingest import InvalidTrade, Parser
from aggregator.trades.ports import BacklogFull, EventLog, NotAppended, Receipt

_MOST_BYTES = 4096
_DURABLE_SECONDS = 10.0
_JSON = (b"application/json", b"application/json; charset=utf-8")
_SLOW_HEADERS = frozenset((b"origin", b"content-encoding", b"transfer-encoding", b"expect"))


class NotDurable(Exception):
    """The trade was not stored in time."""


class IngestFastPath:
    """Serves single trades. Where requests need a key or have a rate, the application serves all of them."""

    def __init__(
        self,
        app: ASGIApp,
        parser: Parser,
        log: EventLog,
        metrics: BufferedMetrics,
        now: Callable[[], float],
        policy: Policy,
        durable_seconds: float = _DURABLE_SECONDS,
    ) -> None:
        self._app = app
        self._parser = parser
        self._log = log
        self._metrics = metrics
        self._now = now
        self._hosts = policy.hosts
        self._durable_seconds = durable_seconds
        vary: list[Header] = [(b"vary", b", ".join(policy.vary))] if policy.vary else []
        self._stored, self._duplicate = (_reply(one, 1 - one, vary) for one in (1, 0))

    async def serve(self, scope: Scope, receive: Receive, send: Send, direct_write: DirectWrite | None) -> None:
        """Serve one request for INGEST_PATH."""
        if not self._is_plain(scope):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        message = await receive()
        reply = None
        if message["type"] == "http.request" and not message.get("more_body", False):
            reply = await self._store(message.get("body", b""))
        if reply is None:
            await self._app(scope, _after(message, receive), send)
            return
        if direct_write is None or not direct_write(reply.status, reply.head, reply.raw):
            await send(reply.start)
            await send(reply.end)
        self._metrics.add_other(INGEST_PATH, time.perf_counter() - started)

    def _is_plain(self, scope: Scope) -> bool:
        """Whether the request is a small JSON body from a client that is no browser, for a host that is served."""
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

    async def _store(self, body: bytes) -> Reply | None:
        """Store the trade of a body and return the response; None if the application must answer."""
        try:
            stored = self._log.append([self._parser.one(body, self._now())])
        except (InvalidTrade, BacklogFull):
            return None
        timer = asyncio.get_running_loop().call_later(self._durable_seconds, _give_up, stored)
        try:
            receipt = await stored
        except (NotDurable, NotAppended):
            return None  # the application appends the trade again, and answers for it: a key counts once
        finally:
            timer.cancel()
        return self._stored if receipt.accepted else self._duplicate


def _give_up(stored: asyncio.Future[Receipt]) -> None:
    if not stored.done():
        stored.set_exception(NotDurable)


def _after(first: Message, receive: Receive) -> Receive:
    """Return a `receive` that returns this message again before all others."""
    messages = [first]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _reply(accepted: int, duplicates: int, vary: list[Header]) -> Reply:
    raw = encode(Ingested("Stored: Success", accepted, duplicates, (), 0))
    headers: list[Header] = [(b"cache-control", b"no-store"), (b"content-type", b"application/json"), *vary]
    return Reply(200, [*headers, (b"content-length", b"%d" % len(raw))], raw)
