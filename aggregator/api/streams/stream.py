"""GET /stream: every new value of topics as Server-Sent Events."""

from collections.abc import AsyncIterator, Sequence

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from aggregator.api.routing.description import Parameter, Response, query, query_list
from aggregator.api.routing.parameters import MOST_ASSETS, find_assets, split_names
from aggregator.api.routing.responses import (
    INVALID_SYMBOL,
    NOT_FOUND,
    not_found,
    refuse,
    refuse_parameter,
    wants_strings,
    whole,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import NO_STORE, NUMBERS, STREAM_REFUSED, SYMBOL, bad_request, refusal
from aggregator.api.routing.stream_end import SLOW, announce, refuse_stream
from aggregator.api.streams.topics import (
    Topics,
    are_topics,
    default_topics,
    events_of,
    topic_parameter,
    unknown_topics,
    written,
)
from aggregator.live.fanout import Fanout
from aggregator.live.snapshots import Snapshots
from aggregator.live.subscriber import EVERYTHING, Batch, Subscriber, Subscription, Wanted
from aggregator.models import Tier, encode
from aggregator.prices.tiers import Catalog

HEARTBEAT = 15  # seconds
MOST_SECONDS = 86_400  # that a client may ask a stream to last
_RETRY = b"retry: 1000\n"  # milliseconds after which a browser reconnects
_EVENTS_PER_SEND = 200
_HEARTBEAT_EVENT = ServerSentEvent(comment="still here", sep="\n")

_ABOUT = """The stream begins with the current values of each topic (`snapshot`; several events if there are more than
a thousand values) and then has an event for every new value. Of the topic `prices`, this is the event `price`, whose
data is the body of `GET /prices/{asset}`. The data of a `snapshot` is a list of such bodies under the name of the
topic, such as `prices`, and `missing` if a requested asset is not listed.

A client that reconnects with `Last-Event-ID` gets the events that it has missed while these are kept. If they are not
kept, or if the service itself may have missed values, there is a `gap` event with the reason, and a `snapshot` as soon
as possible. A client that reads too slowly gets only the newest price of each asset, and is disconnected in the end.
`end` has the reason why the service ends the stream."""


class _Asked(msgspec.Struct, frozen=True):
    """The request of a client; `missing_json` is the `,"missing":…` of its snapshots."""

    wanted: Wanted
    missing_json: bytes
    with_strings: bool


class StreamRoute:
    """The route for Server-Sent Events. Events are encoded once for all subscribers, and sent as these bytes."""

    def __init__(self, catalog: Catalog, topics: Topics, fanout: Fanout, snapshots: Snapshots) -> None:
        self._catalog = catalog
        self._topics = topics
        self._fanout = fanout
        self._snapshots = snapshots

    def routes(self) -> list[Route]:
        """Return the route; its description names the topics."""
        (route,) = routes_of(self)
        streamed = Response("The events, until the client disconnects", (events_of(self._topics),), (NO_STORE,))
        return [
            msgspec.structs.replace(
                route,
                parameters=[*route.parameters, topic_parameter(self._topics)],
                responses={200: streamed, **route.responses},
            )
        ]

    @Route(
        "GET",
        "/stream",
        label="/stream",
        operation_id="getStream",
        tag="live",
        summary="Every new price, as Server-Sent Events",
        description=_ABOUT,
        parameters=[
            query_list(
                "assets",
                "Only these assets. Symbols in upper or lower case",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_ASSETS},
                [SYMBOL, "ethusdt"],
            ),
            query_list(
                "tier",
                "Only these tiers, instead of assets",
                {"type": "array", "items": {"type": "string", "enum": [tier.value for tier in Tier]}, "minItems": 1},
            ),
            query(
                "seconds",
                "End the stream after so many seconds. Without it, the stream has no end of its own",
                {"type": "integer", "minimum": 1, "maximum": MOST_SECONDS},
                5,
            ),
            NUMBERS,
            Parameter(
                "Last-Event-ID",
                "header",
                "The id of the last event that the client has received. Browsers send it when they reconnect",
                {"type": "string"},
            ),
        ],
        responses={
            400: bad_request(
                "The symbols, tiers or topics are malformed, or symbols and tiers are given", INVALID_SYMBOL
            ),
            404: refusal("None of the assets is listed", NOT_FOUND),
            503: STREAM_REFUSED,
        },
        is_stream=True,
    )
    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the client disconnects, or the service ends the stream."""
        request = Request(scope)
        asked = self._requested(request)
        if self._fanout.refusal:
            raise refuse_stream(self._fanout.refusal)
        ending = announce(scope, _event("end", encode({"msg": SLOW})))
        seconds = whole(request, "seconds", 1, MOST_SECONDS) if "seconds" in request.query_params else None
        with self._fanout.new_subscriber("sse", seconds, [*asked.wanted]) as subscriber:
            events = self._events(subscriber, asked, request.headers.get("last-event-id"))
            stream = EventSourceResponse(events, ping=HEARTBEAT, ping_message_factory=lambda: _HEARTBEAT_EVENT)
            await stream(scope, receive, send)
        if ending.reason:
            self._fanout.count_dropped(ending.reason)

    async def _events(self, subscriber: Subscriber, asked: _Asked, last_id: str | None) -> AsyncIterator[bytes]:
        """Yield the events as they come, several at once if several wait.

        The first has the `retry` field. In a block of its own, it is an empty message for some clients.
        """
        retry = _RETRY
        if last_id is None or not self._fanout.resume(subscriber, asked.wanted, last_id):
            subscriber.renew()
        while True:
            await subscriber.news()
            batch = subscriber.drain()
            async for part in self._parts(batch, subscriber, asked):
                yield retry + part
                retry = b""
            if batch.end:
                return

    async def _parts(self, batch: Batch, subscriber: Subscriber, asked: _Asked) -> AsyncIterator[bytes]:
        """Yield what waits for a client: new events, a gap, the end, or a snapshot."""
        for first in range(0, len(batch.events), _EVENTS_PER_SEND):
            events = batch.events[first : first + _EVENTS_PER_SEND]
            yield b"".join([(event.with_strings if asked.with_strings else event).sse for event in events])
        if batch.gap:
            yield _event("gap", encode(batch.gap))
        if batch.end:
            yield _event("end", encode({"msg": batch.end}))
        elif batch.snapshot_due:
            async for part in self._snapshot(subscriber, asked):
                yield part

    async def _snapshot(self, subscriber: Subscriber, asked: _Asked) -> AsyncIterator[bytes]:
        """Yield the current values. The last part alone has an id: a client can resume from a complete snapshot only.

        It has none before a gap: a client that resumed after it would not be told of the gap.
        """
        snapshot = await self._snapshots.begin(subscriber, asked.wanted)
        arrays = written(snapshot.parts, self._topics, with_strings=asked.with_strings)
        *parts, last = [b'{"%b":%b%b}' % (topic.encode(), part, asked.missing_json) for topic, part in arrays]
        mark = b"" if subscriber.is_behind else b"id: %b\n" % snapshot.last_id.encode()
        for part in parts:
            yield _event("snapshot", part)
        yield _event("snapshot", last, mark)

    def _requested(self, request: Request) -> _Asked:
        """Return what the query string asks for. Raises 400 and 404."""
        topics = self._requested_topics(request.query_params.getlist("topics"))
        subscription, missing_json = self._subscription(request)
        return _Asked(dict.fromkeys(topics, subscription), missing_json, wants_strings(request))

    def _requested_topics(self, lists: Sequence[str]) -> Sequence[str]:
        names = ",".join(lists).split(",") if lists else default_topics(self._topics)
        if not are_topics(names, self._topics):
            raise refuse_parameter(unknown_topics(self._topics))
        return names

    def _subscription(self, request: Request) -> tuple[Subscription, bytes]:
        lists, tiers = request.query_params.getlist("assets"), request.query_params.getlist("tier")
        if lists and tiers:
            raise refuse_parameter("Give either assets=btcusdt,ethusdt or tier=hot, or neither for all")
        if tiers:
            return Subscription(tiers=_tiers(tiers)), b""
        if not lists:
            return EVERYTHING, b""
        assets, without_asset = find_assets(split_names(lists), self._catalog)
        if not assets:
            unlisted = [entry.asset for entry in without_asset if entry.reason != INVALID_SYMBOL.msg]
            raise refuse(404, not_found(unlisted[0], self._catalog)) if unlisted else refuse(400, INVALID_SYMBOL)
        missing_json = b',"missing":%b' % encode(without_asset) if without_asset else b""
        return Subscription(frozenset(asset.symbol for asset in assets)), missing_json


def _tiers(lists: list[str]) -> frozenset[Tier]:
    names = frozenset(",".join(lists).split(","))
    if not names <= set(Tier):
        raise refuse_parameter(f"tier must be some of {','.join(Tier)}")
    return frozenset(map(Tier, names))


def _event(name: str, data: bytes, fields: bytes = b"") -> bytes:
    return b"%bevent: %b\ndata: %b\n\n" % (fields, name.encode(), data)
