"""POST /ingest: takes trades in, as JSON, lines of JSON or protobuf, and answers once they are durable."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response as HttpResponse

from aggregator.api.access.key_descriptions import KEY_NEEDED
from aggregator.api.access.keys import Keys
from aggregator.api.access.throttle import ClientRates
from aggregator.api.routing.description import Response, json
from aggregator.api.routing.request_bodies import CLOSE, GONE, JSON_TYPES, discard, media_type_of, whole_body
from aggregator.api.routing.responses import RETRY_SOON, STOPPING, Code, Refusal, Refused, answer, refuse
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import NO_STORE, RETRY_AFTER, refusal
from aggregator.api.trades.ingest_schema import ACCEPTED, BODIES, NONE_GOOD, Ingested, NotIngested, RejectedRecord
from aggregator.models import Trade
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.trades.event_log.memory import BATCH
from aggregator.trades.ingest import Parser, TooManyRecords
from aggregator.trades.ports import BacklogFull, DeadLetters, EventLog, Receipt
from aggregator.trades.protobuf import MOST_UPDATES
from aggregator.trades.rejection import Rejection

INGEST_PATH = "/ingest"
MOST_BYTES = 1_000_000  # of a JSON or protobuf body
MOST_TRADES = MOST_UPDATES  # of a JSON or protobuf body
MOST_LINE = 64 * 1024  # bytes
MOST_LINES = 2_000  # that are read before other requests get their turn: 64 KiB can have 32,768 bad ones
_MOST_LISTED = 1_000  # rejected records that the answer lists
_IN_FLIGHT = 2 * BATCH  # trades of one stream of lines that wait to be stored: one batch stored, one measured
DURABLE_SECONDS = 10.0  # to wait for the store, or for room in the backlog
_BODY_SECONDS = 30.0  # for a whole body, or until the next part of a stream of lines

LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
PROTOBUF_TYPES = ("application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf")

_SLOW = Refusal(f"No data for {_BODY_SECONDS:g} s", Code.REQUEST_TOO_SLOW)
_FULL = Refusal("Too many trades wait to be stored; send these again", Code.BACKLOG_FULL)
_NOT_YET = Refusal("The trades are not stored yet; send them again, which does no harm", Code.NOT_STORED_YET)
_TOO_OFTEN = Refusal("Too many requests with this key, or from this address", Code.INGESTED_TOO_OFTEN)
_WRONG_TYPE = Refusal(
    "The Content-Type must be application/json, application/x-ndjson or application/x-protobuf;"
    " curl sends it with -H 'Content-Type: application/json'",
    Code.UNKNOWN_MEDIA_TYPE,
)
_ENCODED = Refusal("The body must not be compressed: Content-Encoding is not supported", Code.UNKNOWN_MEDIA_TYPE)
_TOO_MANY = Refusal(f"At most {MOST_TRADES} trades in a body; send more as application/x-ndjson", Code.BODY_TOO_LARGE)
_TOO_LARGE = Refusal(f"The body is larger than {MOST_BYTES} bytes", Code.BODY_TOO_LARGE)
_LONG_LINE = Refusal(f"A line is longer than {MOST_LINE} bytes", Code.BODY_TOO_LARGE)


class _Outcome:
    """The outcome of the records of one request so far."""

    def __init__(self) -> None:
        self.records = 0
        self.accepted = self.duplicates = self.rejected_count = 0
        self.rejected: list[RejectedRecord] = []

    def count(self, receipt: Receipt) -> None:
        """Count trades that are stored."""
        self.accepted += receipt.accepted
        self.duplicates += receipt.duplicates

    def reject(self, rejections: Sequence[Rejection]) -> None:
        """Count records that are no trades."""
        self.rejected_count += len(rejections)
        free = _MOST_LISTED - len(self.rejected)
        self.rejected += [RejectedRecord(one.index, one.code, one.reason) for one in rejections[:free]]

    def response(self) -> HttpResponse:
        """Return the response to a request of which every record has been looked at."""
        numbers = (self.accepted, self.duplicates, tuple(self.rejected), self.rejected_count)
        if self.accepted or self.duplicates:
            return answer(Ingested("Stored: Success", *numbers))
        return answer(NotIngested("No record is a trade", Code.NO_VALID_TRADE, *numbers), 400)

    def refusal(self, refused: Refused) -> HttpResponse:
        """Return the response to a request that has ended early."""
        why = refused.refusal
        numbers = (self.accepted, self.duplicates, tuple(self.rejected), self.rejected_count)
        return answer(NotIngested(why.msg, why.code, *numbers), refused.status_code, refused.headers)


class IngestRoute:
    """The route that takes trades in.

    `rate` bounds the requests per second of one of the `keys`, or of an address where there are none; None: no bound.
    """

    def __init__(
        self,
        parser: Parser,
        log: EventLog,
        dead_letters: DeadLetters,
        metrics: TradeMetrics,
        rate: float | None = None,
        now: Callable[[], float] = time.time,
        durable_seconds: float = DURABLE_SECONDS,
        keys: Keys | None = None,
    ) -> None:
        self._parser = parser
        self._log = log
        self._dead_letters = dead_letters
        self._parse_seconds = metrics.stage_seconds.labels("parse").inc
        self._refused = metrics.refused
        self._rates = None if rate is None else ClientRates(rate)
        self._client_of = (keys or Keys()).client_of
        self._now = now
        self._durable_seconds = durable_seconds

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "POST",
        INGEST_PATH,
        label=INGEST_PATH,
        operation_id="ingest",
        tag="trades",
        summary="Take trades in",
        description="Answers once the trades are durable. A trade is identified by asset, timestamp, venue and id; one"
        " that is sent again is counted as a duplicate and kept once, so a request can be repeated. A trade without an"
        f" id gets a hash of its fields as id. A JSON or protobuf body has at most {MOST_TRADES} trades and"
        f" {MOST_BYTES} bytes; lines of JSON may be any number, are read as they come, and are stored in parts."
        " Records that are no trades are listed and kept as dead letters. Needs a key if `API_KEYS` is set.",
        body=BODIES,
        responses={
            200: Response("The trades are stored", (json(Ingested, ACCEPTED),), (NO_STORE,)),
            400: Response("No record is a trade", (json(NotIngested, NONE_GOOD),), (NO_STORE,)),
            **KEY_NEEDED,
            408: refusal("The body does not come, or not as a whole in time", _SLOW),
            413: refusal("The body, a line, or the number of trades is too large", _TOO_MANY, _TOO_LARGE, _LONG_LINE),
            415: refusal("The Content-Type is unknown, or the body is compressed", _WRONG_TYPE, _ENCODED),
            429: refusal("Too many requests, or too many invalid keys", _TOO_OFTEN, headers=(RETRY_AFTER,)),
            503: refusal(
                "The backlog is full, the trades could not be stored in time, or the service is at its limit of"
                " concurrent requests. `accepted` trades of a stream of lines are stored",
                _FULL,
                _NOT_YET,
                headers=(RETRY_AFTER,),
            ),
        },
        access="write",
    )
    async def ingest(self, request: Request) -> HttpResponse:
        """Store the trades of the body; the key has been checked before."""
        self._check_rate(request)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise refuse(415, _ENCODED)
        content_type, media_type = request.headers.get("content-type", ""), media_type_of(request)
        if media_type in LINE_TYPES:
            return await self._lines(request)
        if media_type not in (*JSON_TYPES, *PROTOBUF_TYPES):
            raise refuse(415, _WRONG_TYPE)
        body = await whole_body(request, MOST_BYTES, _TOO_LARGE, _BODY_SECONDS, _SLOW)
        now, outcome = self._now(), _Outcome()
        started = time.perf_counter()
        try:
            if media_type in PROTOBUF_TYPES:
                taken = self._parser.protobuf(body, content_type, now)
            else:
                taken = self._parser.document(body, now)
        except TooManyRecords as error:
            raise refuse(413, _TOO_MANY) from error
        self._parse_seconds(time.perf_counter() - started)
        self._reject(taken.rejected, outcome)
        if taken.trades:
            outcome.count(await self._durable(self._append(taken.trades)))
        return outcome.response()

    def _check_rate(self, request: Request) -> None:
        wait = 0.0 if self._rates is None else self._rates.acquire(self._client_of(request))
        if wait:
            raise refuse(429, _TOO_OFTEN, {"Retry-After": str(max(1, math.ceil(wait)))})

    async def _lines(self, request: Request) -> HttpResponse:
        """Store lines as they come. If the request ends early, the response says what has been stored before."""
        outcome = _Outcome()
        stored: deque[tuple[int, asyncio.Future[Receipt]]] = deque()  # with the number of trades
        in_flight = 0
        try:
            async for lines in _parts(request):
                started = time.perf_counter()
                taken = self._parser.lines(lines, self._now(), outcome.records)
                self._parse_seconds(time.perf_counter() - started)
                outcome.records += len(taken.trades) + len(taken.rejected)
                self._reject(taken.rejected, outcome)
                if taken.trades:
                    await self._room()
                    stored.append((len(taken.trades), self._append(taken.trades)))
                    in_flight += len(taken.trades)
                while stored and (in_flight > _IN_FLIGHT or stored[0][1].done()):
                    number, receipt = stored.popleft()
                    outcome.count(await self._durable(receipt))
                    in_flight -= number
            while stored:
                _, receipt = stored.popleft()
                outcome.count(await self._durable(receipt))
        except (Refused, asyncio.CancelledError) as end:  # the server cancels when its time to stop is over
            for _, receipt in stored:
                if receipt.done() and not receipt.cancelled() and receipt.exception() is None:
                    outcome.count(receipt.result())
            return outcome.refusal(end if isinstance(end, Refused) else refuse(503, STOPPING, RETRY_SOON))
        return outcome.response()

    def _reject(self, rejections: Sequence[Rejection], outcome: _Outcome) -> None:
        if rejections:
            outcome.reject(rejections)
            self._dead_letters.bury(rejections)

    async def _room(self) -> None:
        """Wait for room in the backlog, for a while: the client's data waits meanwhile in its own buffers."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._durable_seconds):
                await self._log.room()

    def _append(self, trades: Sequence[Trade]) -> asyncio.Future[Receipt]:
        """Append trades to the log. Raises the response 503 while it is full."""
        try:
            return self._log.append(trades)
        except BacklogFull as full:
            self._refused.inc(len(trades))
            raise refuse(503, _FULL, {"Retry-After": str(full.retry_after)}) from full

    async def _durable(self, stored: asyncio.Future[Receipt]) -> Receipt:
        """Wait until trades are durable. Raises the response 503 if that takes too long."""
        try:
            async with asyncio.timeout(self._durable_seconds):
                return await asyncio.shield(stored)
        except TimeoutError as error:
            raise refuse(503, _NOT_YET, RETRY_SOON) from error


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """Yield the whole lines of the body in parts, as they come. Raises the responses 408 and 413."""
    rest, chunks = b"", aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except TimeoutError as error:
            raise refuse(408, _SLOW, CLOSE) from error
        except ClientDisconnect as error:
            raise refuse(400, GONE) from error
        rest += chunk
        end = rest.rfind(b"\n") + 1
        if end:
            ready, rest = rest[:end], rest[end:]
            while ready.count(b"\n") > MOST_LINES:
                *first, ready = ready.split(b"\n", MOST_LINES)
                yield b"\n".join(first)
                await asyncio.sleep(0)
            yield ready
        if len(rest) > MOST_LINE:
            with suppress(ClientDisconnect):
                await discard(chunks)
            raise refuse(413, _LONG_LINE, CLOSE)
    if rest.strip():
        yield rest
