"""An outlet is away, throttled, answers 500, 429 or garbage, or hangs: nothing is lost, no key comes twice.

Each outage takes a second in the suite, and sixty with CHAOS=full. A key may come again only where the receiver took
it and its answer was lost: the service counts these.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from aggregator.observability.metrics import Metrics
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.receivers.webhook.webhook import Webhook
from aggregator.outlets.registry import make_outlet, outlets_of
from tests.chaos.outlet_outages import Taken, check, outage
from tests.outlets.receivers.webhook.receiving import receiving
from tests.outlets.recording import running
from tests.parts.limits import FULL
from tests.parts.site import Site, reply
from tests.parts.sqs import Queues

pytestmark = pytest.mark.real

SECONDS = 60.0 if FULL else 1.0
UNSURE = "outlet_events_unsure_total"


@pytest.mark.parametrize("fault", ["cut", "throttle", "error", "garbage", "hang", "partial"])
async def test_a_queue_out_of_order(queues: Queues, fault: str, tmp_path: Path) -> None:
    """In none of these faults has the queue taken what failed, so no key comes twice."""
    queues.faults.set()
    name = queues.queue()
    queue = make_outlet(outlets_of(queues.url(name))[0], OutletParts(Metrics(), time.time))
    await queue.open()
    async with running(tmp_path / "o.db", {"stdout://": queue}) as scene:
        load = await outage(scene, lambda: queues.faults.set(fault), queues.faults.set, SECONDS)
    check([Taken(one.key, one.asset, one.at) for one in queues.arrivals[name]], load, most_twice=0)


async def test_a_queue_whose_answers_are_lost(queues: Queues, tmp_path: Path) -> None:
    """Every second call is taken and answered with 500: what comes twice is counted as unsure."""
    queues.faults.set()
    name = queues.queue()
    queue = make_outlet(outlets_of(queues.url(name))[0], OutletParts(Metrics(), time.time))
    await queue.open()
    async with running(tmp_path / "o.db", {"stdout://": queue}) as scene:
        load = await outage(scene, lambda: queues.faults.set("lost", every=2), queues.faults.set, SECONDS)
        unsure = scene.value(UNSURE, outlet="stdout")
    assert unsure > 0
    check([Taken(one.key, one.asset, one.at) for one in queues.arrivals[name]], load, unsure)


class Receiver:
    """A webhook's receiver that records what it takes, and can be out of order."""

    def __init__(self, webhook: Webhook, site: Site) -> None:
        self.webhook = webhook
        self._site = site
        self.taken: list[Taken] = []
        self.fault = ""
        site.answers["/hook"] = self._answer

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        body = self._site.bodies[-1]  # of this request: nothing was awaited since it came
        if self.fault == "hang":
            while self.fault:
                await asyncio.sleep(0.02)
            return
        if self.fault == "closed":
            return
        writer.write(_ANSWERS.get(self.fault, b"") if self.fault else reply(b"", "204 No Content"))
        if not self.fault:
            self.taken += [Taken(one["key"], one["asset"], time.time()) for one in json.loads(body)]


_ANSWERS: dict[str, bytes] = {
    "500": reply(b"", "500 Internal Server Error"),
    "429": reply(b"", "429 Too Many Requests", Retry_After="1"),
    "garbage": b"\x00\xff\x16\x03 garbage \r\n\r\n",
}


@pytest.mark.parametrize("fault", ["closed", "500", "429", "garbage", "hang"])
async def test_a_webhook_out_of_order(fault: str, tmp_path: Path) -> None:
    """As for a queue."""
    async with AsyncExitStack() as stack:
        webhook, site = await stack.enter_async_context(receiving(b"", lasting=SECONDS + 120))
        scene = await stack.enter_async_context(running(tmp_path / "o.db", {"stdout://": webhook}))
        receiver = Receiver(webhook, site)

        def set_fault(value: str) -> None:
            receiver.fault = value

        load = await outage(scene, lambda: set_fault(fault), lambda: set_fault(""), SECONDS)
    check(receiver.taken, load, most_twice=0)
