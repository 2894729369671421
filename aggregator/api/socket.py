"""/ws: every new price over a WebSocket, of whatever the client subscribes to as it goes."""

import asyncio
import time
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from aggregator.api.endpoint_labels import MOST_ASSETS, sorted_out
from aggregator.api.responses import answer, refuse
from aggregator.api.snapshots import Snapshots
from aggregator.api.stream import RETRY_AFTER
from aggregator.api.stream_end import announce
from aggregator.api.throttle import TokenBucket
from aggregator.live.fanout import Fanout
from aggregator.live.subscriber import Subscriber, Subscription
from aggregator.models import Tier, encode
from aggregator.prices.tiers import Catalog

_GONE = (WebSocketDisconnect, WebSocketDisconnected)  # by the client, or by us
_RESTART = 1012  # the status of a close that asks the client to come again
_LONGEST = 500  # characters of an error
_MESSAGES_A_SECOND = 20  # of one client; what comes faster waits in its own network


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send."""

    type: Literal["subscribe", "unsubscribe"]
    assets: Annotated[list[str], msgspec.Meta(max_length=MOST_ASSETS)] = []
    tiers: Annotated[list[Tier], msgspec.Meta(max_length=len(Tier))] = []


_decoder = msgspec.json.Decoder(Message)


class SocketRoute:
    """Lets clients in, as far as there is room."""

    def __init__(self, catalog: Catalog, fanout: Fanout, snapshots: Snapshots) -> None:
        self._catalog = catalog
        self._fanout = fanout
        self._snapshots = snapshots

    def routes(self) -> list[BaseRoute]:
        """Return the routes; the second is for who does not ask for a WebSocket."""
        return [WebSocketRoute("/ws", self.serve), Route("/ws", self.explain)]

    async def explain(self, _: Request) -> Response:
        """GET /ws."""
        return answer({"msg": "Ask for a WebSocket here"}, 426, {"Upgrade": "websocket"})

    async def serve(self, websocket: WebSocket) -> None:
        """Serve until the client leaves, is cut off, or is told that it is over."""
        if self._fanout.refusal:
            raise refuse(503, self._fanout.refusal, RETRY_AFTER)
        ending = announce(websocket.scope)
        with self._fanout.reading("websocket") as reader:
            await _Session(websocket, reader, self._catalog, self._fanout, self._snapshots).run()
        if ending.reason:
            self._fanout.count_dropped(ending.reason)


class _Session:
    """One client: what it says is done, and what there is for it is sent, one after the other."""

    def __init__(
        self, websocket: WebSocket, reader: Subscriber, catalog: Catalog, fanout: Fanout, snapshots: Snapshots
    ) -> None:
        self._websocket = websocket
        self._reader = reader
        self._catalog = catalog
        self._fanout = fanout
        self._snapshots = snapshots
        self._turn = asyncio.Lock()  # so that no price comes between a snapshot and the prices behind it

    async def run(self) -> None:
        """Do both until the connection ends."""
        with suppress(*_GONE):
            await self._websocket.accept()
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send())
                await self._receive()
                sending.cancel()

    async def _send(self) -> None:
        with suppress(*_GONE):  # the receiver hears of it too
            over = False
            while not over:
                await self._reader.news()
                async with self._turn:
                    over = await self._send_mail()

    async def _send_mail(self) -> bool:
        """Send what there is; return whether it was the last."""
        mail = self._reader.drain()
        for event in mail.events:
            await self._websocket.send_text(event.message)
        if mail.gap:
            await self._say({"type": "gap", "msg": mail.gap})
        if mail.end:
            await self._say({"type": "end", "msg": mail.end})
            await self._websocket.close(_RESTART, mail.end)
        elif mail.snapshot_due and self._reader.wanted != Subscription():
            await self._follow(self._reader.wanted)
        return bool(mail.end)

    async def _receive(self) -> None:
        """Do what the client says, at the pace it may."""
        bucket = TokenBucket(_MESSAGES_A_SECOND, time.monotonic())
        with suppress(*_GONE):
            while (said := await self._websocket.receive())["type"] == "websocket.receive":
                await self._pause(bucket)
                async with self._turn:
                    await self._do(said.get("text") or said.get("bytes") or b"")

    async def _pause(self, bucket: TokenBucket) -> None:
        """Wait for this message's turn."""
        wait = bucket.acquire(time.monotonic())
        if wait:
            await asyncio.sleep(wait)
            bucket.acquire(time.monotonic())

    async def _do(self, said: str | bytes) -> None:
        try:
            message = _decoder.decode(said)
        except msgspec.DecodeError as error:  # a ValidationError is one
            await self._error(f"Not understood: {error}")
            return
        except UnicodeDecodeError:
            await self._error("Not understood: it is no UTF-8")
            return
        assets, unknown = sorted_out(list(dict.fromkeys(message.assets)), self._catalog)
        if unknown:
            await self._error(f"Not among our assets: {', '.join(one['asset'] for one in unknown)}"[:_LONGEST])
        asked = Subscription(frozenset(asset.symbol for asset in assets), frozenset(message.tiers))
        if asked == Subscription():
            if not unknown:
                await self._error("Name assets or tiers")
        elif message.type == "subscribe":
            await self._subscribe(asked)
        else:
            self._fanout.drop(self._reader, asked)
            await self._say_subscribed(self._reader.wanted)

    async def _subscribe(self, asked: Subscription) -> None:
        wanted = self._reader.wanted | asked
        if len(wanted.assets) > MOST_ASSETS:
            await self._error(f"{len(wanted.assets)} assets are too many: at most {MOST_ASSETS}, or name tiers")
            return
        await self._say_subscribed(wanted)
        await self._follow(asked)

    async def _follow(self, asked: Subscription) -> None:
        snapshot = await self._snapshots.of(asked)
        self._fanout.follow(self._reader, asked, snapshot.last_id, snapshot.timestamps)
        for part in snapshot.parts:
            await self._websocket.send_text((b'{"type":"snapshot","prices":%b}' % part).decode())

    async def _say_subscribed(self, wanted: Subscription) -> None:
        await self._say({"type": "subscribed", "assets": sorted(wanted.assets), "tiers": sorted(wanted.tiers)})

    async def _error(self, why: str) -> None:
        await self._say({"type": "error", "msg": why})

    async def _say(self, what: dict[str, object]) -> None:
        await self._websocket.send_text(encode(what).decode())
