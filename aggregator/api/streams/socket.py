"""GET /ws: every new value of topics over a WebSocket. The client subscribes and unsubscribes by messages."""

import asyncio
import time
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from aggregator.api.access.keys import WRONG_KEY
from aggregator.api.access.policy import FOREIGN_ORIGIN
from aggregator.api.access.throttle import TokenBucket
from aggregator.api.routing.description import Response
from aggregator.api.routing.parameters import MOST_ASSETS, find_assets
from aggregator.api.routing.responses import Code, Refusal, refused, wants_strings
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import BAD_REQUEST, NUMBERS, STREAM_REFUSED, SYMBOL, UPGRADE, refusal
from aggregator.api.routing.stream_end import announce, refuse_stream
from aggregator.api.streams.topics import Topics, are_topics, default_topics, unknown_topics, written
from aggregator.live.fanout import Fanout
from aggregator.live.snapshots import Snapshots
from aggregator.live.subscriber import Subscriber, Subscription, Wanted
from aggregator.models import Tier, encode
from aggregator.prices.tiers import Catalog

_GONE = (WebSocketDisconnect, WebSocketDisconnected)  # closed by the client, or by us
_RESTART = 1012  # the close status that asks the client to reconnect
_LONGEST_ERROR = 500  # characters
_MOST_TOPICS = 100  # names in one message
_LONGEST_ID = 100  # characters of the id of an event
_MESSAGES_PER_SECOND = 20  # of one client; further messages wait in the network buffers
_OF_STREAMS = {"assets", "tier", "tiers", "topics", "seconds"}  # parameters that users of /stream may expect here
_BY_MESSAGE = (
    "A subscription is a message, not part of the address: send"
    ' {"type":"subscribe","topics":["prices"],"tiers":["hot"]}'
)
_NOT_A_WEBSOCKET = Refusal("Ask for a WebSocket here", Code.UPGRADE_NEEDED)
_ABOUT = f"""Send `{{"type":"subscribe","assets":["{SYMBOL}"]}}` or `{{"type":"subscribe","tiers":["hot"]}}`, and
`unsubscribe` likewise. The reply is the whole subscription, `{{"type":"subscribed","assets":[…],"tiers":[…]}}`, or
`{{"type":"error","msg":"…","code":"…"}}`. At most {MOST_ASSETS} assets by name. Prices arrive as
`{{"type":"snapshot","prices":[…]}}` and `{{"type":"price","price":{{…}}}}`. `{{"type":"gap","msg":"…"}}` and
`{{"type":"end","msg":"…"}}` mean the same as in `GET /stream`. A message with `"topics":["prices"]` is about these
topics only, one without it about prices; the reply to it is
`{{"type":"subscribed","topics":{{"prices":{{"assets":[…],"tiers":[…]}}}}}}`. Parameters of `GET /stream` in the address
get an error message.

With `"last_event_id":""` in the first `subscribe`, events and the last message of a snapshot have an `id`. After a
reconnect, the newest of them as `last_event_id` continues after that event, as `Last-Event-ID` does in `/stream`."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a client."""

    type: Literal["subscribe", "unsubscribe"]
    assets: Annotated[list[str], msgspec.Meta(max_length=MOST_ASSETS)] = []
    tiers: Annotated[list[Tier], msgspec.Meta(max_length=len(Tier))] = []
    topics: Annotated[list[str], msgspec.Meta(max_length=_MOST_TOPICS)] | msgspec.UnsetType = msgspec.UNSET
    last_event_id: Annotated[str, msgspec.Meta(max_length=_LONGEST_ID)] | None = None


_decoder = msgspec.json.Decoder(Message)


class SocketRoute:
    """The route for WebSockets, and its description for clients that send an ordinary GET."""

    def __init__(self, catalog: Catalog, topics: Topics, fanout: Fanout, snapshots: Snapshots) -> None:
        self._catalog = catalog
        self._topics = topics
        self._fanout = fanout
        self._snapshots = snapshots

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/ws",
        label="/ws",
        operation_id="getSocket",
        tag="live",
        summary="Every new price, over a WebSocket",
        description=_ABOUT,
        parameters=[NUMBERS],
        responses={
            101: Response("The connection is a WebSocket from now on"),
            400: BAD_REQUEST,
            403: refusal(
                "The request comes from a page of another site, or the key is not valid", FOREIGN_ORIGIN, WRONG_KEY
            ),
            426: refusal("The request does not ask for a WebSocket", _NOT_A_WEBSOCKET, headers=(UPGRADE,)),
            503: STREAM_REFUSED,
        },
    )
    async def explain(self, request: Request) -> HttpResponse:
        """Return 426 to a GET that does not ask for a WebSocket."""
        wants_strings(request)  # raises the 400 that a WebSocket gets
        return refused(426, _NOT_A_WEBSOCKET, {"Upgrade": "websocket"})

    @Route("WEBSOCKET", "/ws", label="/ws", is_stream=True)
    async def serve(self, websocket: WebSocket) -> None:
        """Serve until the client disconnects, or the service ends the stream."""
        with_strings = wants_strings(websocket)
        if self._fanout.refusal:
            raise refuse_stream(self._fanout.refusal)
        ending = announce(websocket.scope)
        with self._fanout.new_subscriber("websocket") as subscriber:
            parts = (self._catalog, self._topics, self._fanout, self._snapshots)
            await _Session(websocket, subscriber, *parts, with_strings=with_strings).run()
        if ending.reason:
            self._fanout.count_dropped(ending.reason)


class _Session:
    """The connection of one client: executes its messages, and sends it events."""

    def __init__(
        self,
        websocket: WebSocket,
        subscriber: Subscriber,
        catalog: Catalog,
        topics: Topics,
        fanout: Fanout,
        snapshots: Snapshots,
        *,
        with_strings: bool,
    ) -> None:
        self._websocket = websocket
        self._with_strings = with_strings
        self._subscriber = subscriber
        self._catalog = catalog
        self._topics = topics
        self._fanout = fanout
        self._snapshots = snapshots
        self._has_ids = False  # the client may resume
        self._order = asyncio.Lock()  # no event may be sent between the parts of a snapshot

    async def run(self) -> None:
        """Receive and send until the connection ends."""
        with suppress(*_GONE):
            await self._websocket.accept()
            if _OF_STREAMS & self._websocket.query_params.keys():
                await self._send_error(_BY_MESSAGE, Code.INVALID_PARAMETER)
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(self._send())
                await self._receive()
                sender.cancel()

    async def _send(self) -> None:
        with suppress(*_GONE):  # the receiver notices it too, and ends the session
            ended = False
            while not ended:
                await self._subscriber.news()
                async with self._order:
                    ended = await self._send_batch()

    async def _send_batch(self) -> bool:
        """Send what waits for this client. Return whether the stream ends with it."""
        batch = self._subscriber.drain()
        for event in batch.events:
            shown = event.with_strings if self._with_strings else event
            await self._websocket.send_text(shown.message_with_id if self._has_ids else shown.message)
        if batch.gap:
            await self._send_json({"type": "gap"} | msgspec.to_builtins(batch.gap))
        if batch.end:
            await self._send_json({"type": "end", "msg": batch.end})
            await self._websocket.close(_RESTART, batch.end)
        elif batch.snapshot_due and self._subscriber.wanted:
            await self._follow(self._subscriber.wanted)
        return bool(batch.end)

    async def _receive(self) -> None:
        """Execute the messages of the client, at the rate that it is allowed."""
        bucket = TokenBucket(_MESSAGES_PER_SECOND, time.monotonic())
        with suppress(*_GONE):
            while (received := await self._websocket.receive())["type"] == "websocket.receive":
                await _pause(bucket)
                async with self._order:
                    await self._execute(received.get("text") or received.get("bytes") or b"")

    async def _execute(self, text: str | bytes) -> None:
        try:
            message = _decoder.decode(text)
        except msgspec.DecodeError as error:  # or its subclass ValidationError
            await self._send_error(f"Not understood: {error}"[:_LONGEST_ERROR])
            return
        except UnicodeDecodeError:
            await self._send_error("Not understood: it is no UTF-8")
            return
        topics = default_topics(self._topics) if message.topics is msgspec.UNSET else message.topics
        if not are_topics(topics, self._topics):
            await self._send_error(unknown_topics(self._topics), Code.INVALID_PARAMETER)
            return
        assets, without_asset = find_assets(list(dict.fromkeys(message.assets)), self._catalog)
        if without_asset:
            names = ", ".join(entry.asset for entry in without_asset)
            await self._send_error(f"Not among our assets: {names}"[:_LONGEST_ERROR], Code.ASSET_NOT_FOUND)
        requested = Subscription(frozenset(asset.symbol for asset in assets), frozenset(message.tiers))
        if requested == Subscription():
            if not without_asset:
                await self._send_error("Name assets or tiers")
            return
        wanted = dict.fromkeys(topics, requested)
        has_topics = message.topics is not msgspec.UNSET
        if message.type == "subscribe":
            await self._subscribe(wanted, message.last_event_id, has_topics=has_topics)
        else:
            self._fanout.drop(self._subscriber, wanted)
            await self._confirm(self._subscriber.wanted, has_topics=has_topics)

    async def _subscribe(self, wanted: Wanted, last_id: str | None, *, has_topics: bool) -> None:
        """Add to the subscription; resume after event `last_id` if it names one."""
        had = self._subscriber.wanted
        if last_id and had:
            await self._send_error("Only the first subscription resumes", Code.INVALID_PARAMETER)
            return
        whole = {**had, **{topic: had.get(topic, Subscription()) | some for topic, some in wanted.items()}}
        most = max(len(subscription.assets) for subscription in whole.values())
        if most > MOST_ASSETS:
            await self._send_error(f"{most} assets are too many: at most {MOST_ASSETS}, or name tiers")
            return
        await self._confirm(whole, has_topics=has_topics)
        self._has_ids |= last_id is not None
        if last_id:
            is_resumed = self._fanout.resume(self._subscriber, wanted, last_id)
            # Now, and not once the task that sends has its turn: the next message may ask for a snapshot, which has
            # newer values and the id of the last event.
            if await self._send_batch() or is_resumed:
                return
        await self._follow(wanted)

    async def _follow(self, wanted: Wanted) -> None:
        """Send a snapshot of `wanted`, and from then on every new event.

        The last message has an id only if nothing waits to be sent of another part of the subscription: a client that
        resumed after it would miss that.
        """
        snapshot = await self._snapshots.begin(self._subscriber, wanted)
        mark = f'"id":"{snapshot.last_id}",' if self._has_ids and not self._subscriber.is_behind else ""
        parts = written(snapshot.parts, self._topics, with_strings=self._with_strings)
        for place, (topic, part) in enumerate(parts, 1):
            shown = mark if place == len(parts) else ""
            await self._websocket.send_text(f'{{{shown}"type":"snapshot","{topic}":{part.decode()}}}')

    async def _confirm(self, whole: Wanted, *, has_topics: bool) -> None:
        """Tell the client its whole subscription; of the default topic alone, unless its message has topics."""
        if has_topics:
            topics = {topic: _listed(subscription) for topic, subscription in whole.items()}
            await self._send_json({"type": "subscribed", "topics": topics})
        else:
            (default,) = default_topics(self._topics)
            await self._send_json({"type": "subscribed", **_listed(whole.get(default, Subscription()))})

    async def _send_error(self, message: str, code: Code = Code.INVALID_REQUEST) -> None:
        await self._send_json({"type": "error", "msg": message, "code": code})

    async def _send_json(self, body: dict[str, object]) -> None:
        await self._websocket.send_text(encode(body).decode())


def _listed(subscription: Subscription) -> dict[str, object]:
    return {"assets": sorted(subscription.assets), "tiers": sorted(subscription.tiers)}


async def _pause(bucket: TokenBucket) -> None:
    """Wait until the rate limit allows another message."""
    wait = bucket.acquire(time.monotonic())
    if wait:
        await asyncio.sleep(wait)
        bucket.acquire(time.monotonic())
