"""A webhook with a receiver of its own on 127.0.0.1."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aggregator.outlets.ports import OutletEvent
from aggregator.outlets.receivers.webhook.client import WebhookClient
from aggregator.outlets.receivers.webhook.target import webhook_target
from aggregator.outlets.receivers.webhook.webhook import Webhook
from tests.parts.site import Handler, Site, reply, site

SECRET = b"a secret of 24 characters"


def events(count: int = 2) -> Sequence[OutletEvent]:
    """Return prices of btcusdt."""
    return [
        OutletEvent("prices", "btcusdt", f"btcusdt-{number}", 1_700_000_000.0 + number, b'{"price":"1.10"}')
        for number in range(count)
    ]


@asynccontextmanager
async def receiving(
    answer: bytes | Handler, *, total: float = 5.0, now: Callable[[], float] = time.time, lasting: float = 60
) -> AsyncIterator[tuple[Webhook, Site]]:
    """Run a receiver that gives this answer, and the webhook that posts to it."""
    async with site(lasting=lasting) as receiver:
        receiver.answers["/hook"] = answer
        target = webhook_target(receiver.url("/hook"), allow_private=True)
        webhook = Webhook(WebhookClient(target, now, allow_private=True, total=total), SECRET, now)
        try:
            yield webhook, receiver
        finally:
            await webhook.close()


def status(line: str, **headers: str) -> bytes:
    """Return an answer with this status line and an empty body."""
    return reply(b"", line, **headers)


def endless(head: bytes, part: bytes) -> Handler:
    """Return an answer that repeats `part` after `head` until the client has gone."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)

    return answer


def slow(parts: bytes, pause: float) -> Handler:
    """Return an answer of single bytes with pauses between them, in seconds; then nothing."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for one in parts:
            writer.write(bytes([one]))
            await writer.drain()
            await asyncio.sleep(pause)
        await asyncio.Event().wait()

    return answer


def hanging(head: bytes = b"") -> Handler:
    """Return an answer that ends after `head` without closing the connection."""
    return slow(head, 0)
