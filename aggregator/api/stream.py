"""GET /stream: every new price as Server-Sent Events."""

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from aggregator.api.endpoint_labels import names_in, sorted_out
from aggregator.api.responses import INVALID_SYMBOL, NOT_FOUND, refuse
from aggregator.api.snapshots import Snapshots
from aggregator.api.stream_end import SLOW, announce
from aggregator.live.fanout import Fanout
from aggregator.live.subscriber import EVERYTHING, Subscriber, Subscription
from aggregator.models import Tier, encode
from aggregator.prices.tiers import Catalog

HEARTBEAT = 15  # seconds
RETRY_AFTER = {"Retry-After": "1"}
_AGAIN = b"retry: 1000\n\n"  # milliseconds after which a browser comes again
_SENT_AT_ONCE = 200  # events
_BEAT = ServerSentEvent(comment="still here", sep="\n")


class StreamRoute:
    """Encodes nothing but what is said to one reader only: the library is handed bytes."""

    def __init__(self, catalog: Catalog, fanout: Fanout, snapshots: Snapshots) -> None:
        self._catalog = catalog
        self._fanout = fanout
        self._snapshots = snapshots

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/stream", self, methods=["GET"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the reader leaves, is cut off, or is told that it is over."""
        request = Request(scope)
        wanted, unknown = self._wanted(request)
        if self._fanout.refusal:
            raise refuse(503, self._fanout.refusal, RETRY_AFTER)
        ending = announce(scope, _event("end", encode({"msg": SLOW})))
        with self._fanout.reading("sse") as reader:
            events = self._events(reader, wanted, unknown, request.headers.get("last-event-id"))
            stream = EventSourceResponse(events, ping=HEARTBEAT, ping_message_factory=lambda: _BEAT)
            await stream(scope, receive, send)
        if ending.reason:
            self._fanout.count_dropped(ending.reason)

    async def _events(
        self, reader: Subscriber, wanted: Subscription, unknown: bytes, last_id: str | None
    ) -> AsyncIterator[bytes]:
        """Yield what there is, as there is something."""
        yield _AGAIN
        if last_id is None or not self._fanout.resume(reader, wanted, last_id):
            reader.renew()
        while True:
            await reader.news()
            mail = reader.drain()
            for first in range(0, len(mail.events), _SENT_AT_ONCE):
                yield b"".join([event.sse for event in mail.events[first : first + _SENT_AT_ONCE]])
            if mail.gap:
                yield _event("gap", encode({"msg": mail.gap}))
            if mail.end:
                yield _event("end", encode({"msg": mail.end}))
                return
            if mail.snapshot_due:
                async for part in self._snapshot(reader, wanted, unknown):
                    yield part

    async def _snapshot(self, reader: Subscriber, wanted: Subscription, unknown: bytes) -> AsyncIterator[bytes]:
        """Yield the current prices; the id comes with the last of them, as only who has them all can go on from it."""
        snapshot = await self._snapshots.of(wanted)
        self._fanout.follow(reader, wanted, snapshot.last_id, snapshot.timestamps)
        *parts, last = (b'{"prices":%b%b}' % (part, unknown) for part in snapshot.parts)
        for part in parts:
            yield _event("snapshot", part)
        yield _event("snapshot", last, b"id: %b\n" % snapshot.last_id.encode())

    def _wanted(self, request: Request) -> tuple[Subscription, bytes]:
        """Return what the query names, and of what is none a part of the JSON; raises the answers 400 and 404."""
        named, tiers = request.query_params.getlist("assets"), request.query_params.getlist("tier")
        if named and tiers:
            raise refuse(400, "Give either assets=btcusdt,ethusdt or tier=hot, or neither for all")
        if tiers:
            return Subscription(tiers=_tiers(tiers)), b""
        if not named:
            return EVERYTHING, b""
        assets, unknown = sorted_out(names_in(named), self._catalog)
        if not assets:
            malformed = all(one["reason"] == INVALID_SYMBOL for one in unknown)
            raise refuse(400, INVALID_SYMBOL) if malformed else refuse(404, NOT_FOUND)
        rest = b',"missing":%b' % encode(unknown) if unknown else b""
        return Subscription(frozenset(asset.symbol for asset in assets)), rest


def _tiers(lists: list[str]) -> frozenset[Tier]:
    names = frozenset(",".join(lists).split(","))
    if not names <= set(Tier):
        raise refuse(400, f"tier must be some of {','.join(Tier)}")
    return frozenset(map(Tier, names))


def _event(name: str, data: bytes, more: bytes = b"") -> bytes:
    return b"%bevent: %b\ndata: %b\n\n" % (more, name.encode(), data)
