"""An SQS for tests: moto's server behind a proxy in this process that records every message taken, and has faults."""

import asyncio
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import aiohttp
import boto3
from aiohttp import web

from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process, wait_for
from tests.parts.service import call

_START_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class Arrival(NamedTuple):
    """A message that the queue has taken: its attributes, body and time of arrival."""

    topic: str
    key: str
    asset: str
    body: bytes
    at: float
    entry: dict[str, Any]


class Faults:
    """The fault with which the proxy answers a SendMessageBatch, and how often."""

    def __init__(self) -> None:
        self.kind = ""  # throttle, error, lost, garbage, hang, partial, refuse, cut
        self.every = 1  # of the calls

    def set(self, kind: str = "", every: int = 1) -> None:
        """Switch a fault on, or all off."""
        self.kind, self.every = kind, every


class Queues:
    """moto's server and the proxy. Each test has queues of its own."""

    def __init__(self) -> None:
        port = free_port()
        self.target = f"http://127.0.0.1:{port}"
        self.process = Process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], cwd=ROOT)
        wait_for(self._answers, what="moto")
        self.faults = Faults()
        self.arrivals: dict[str, list[Arrival]] = {}  # by queue
        self.calls = 0
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(_START_SECONDS)
        names = ("aws_access_key_id", "aws_secret_access_key")  # moto takes any
        keys = dict.fromkeys(names, "local")
        self._client = boto3.client("sqs", region_name="us-east-1", endpoint_url=self.target, **keys)

    def queue(self, suffix: str = "") -> str:
        """Create a queue; return its name."""
        name = f"events-{uuid.uuid4().hex[:8]}{suffix}"
        attributes = {"FifoQueue": "true"} if suffix == ".fifo" else {}
        self._client.create_queue(QueueName=name, Attributes=attributes)
        self.arrivals[name] = []
        return name

    def url(self, queue: str, **options: object) -> str:
        """Return the address of a queue behind the proxy."""
        given = {"region": "us-east-1", "endpoint": self.endpoint} | options
        return f"sqs://{queue}?" + "&".join(f"{name}={value}" for name, value in given.items())

    def keys(self, queue: str) -> list[str]:
        """Return the keys of the messages that the queue has taken, in their order."""
        return [one.key for one in self.arrivals[queue]]

    def number(self, queue: str) -> int:
        """Return how many messages moto has in the queue."""
        url = self._client.get_queue_url(QueueName=queue)["QueueUrl"]
        names = ["ApproximateNumberOfMessages"]
        return int(self._client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]])

    def stop(self) -> None:
        """Stop both."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_SECONDS)
        self._client.close()
        self.process.stop()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with aiohttp.ClientSession() as self._session:
            server = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
            await server.setup()
            site = web.TCPSite(server, "127.0.0.1", 0)
            await site.start()
            self.endpoint = f"http://127.0.0.1:{server.addresses[0][1]}"
            self._started.set()
            await self._stop.wait()
            await server.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        is_batch = request.headers.get("X-Amz-Target", "").endswith("SendMessageBatch")
        if not is_batch:
            return await self._forward(request, body)
        self.calls += 1
        fault = self.faults.kind if self.calls % self.faults.every == 0 else ""
        if fault in ("throttle", "error", "garbage", "hang", "cut"):
            return await self._fail(request, fault)
        sent = json.loads(body)
        failed = sent["Entries"][1::2] if fault in ("partial", "refuse") else []
        sent["Entries"] = [one for one in sent["Entries"] if one not in failed]
        answer = await self._forward(request, json.dumps(sent).encode())
        found = json.loads(answer.body)  # type: ignore[arg-type]  # of moto
        if answer.status == 200:
            self._record(sent, [one["Id"] for one in found["Successful"]])
        if fault == "lost":
            return _error(500, "InternalFailure")
        if failed:
            code = {"Code": "InternalError" if fault == "partial" else "InvalidMessageContents", "Message": "no"}
            found["Failed"] = [{"Id": one["Id"], "SenderFault": fault == "refuse", **code} for one in failed]
            return web.json_response(found)
        return answer

    async def _fail(self, request: web.BaseRequest, fault: str) -> web.StreamResponse:
        deadline = time.monotonic() + _START_SECONDS
        while fault == "hang" and self.faults.kind == fault and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
        if fault in ("hang", "cut") and request.transport is not None:
            request.transport.abort()
        if fault == "garbage":
            return web.Response(body=b"<html>", content_type="text/html")
        return _error(400, "RequestThrottled") if fault == "throttle" else _error(500, "InternalFailure")

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        async with self._session.post(f"{self.target}{request.path}", data=body, headers=headers) as answer:
            text = await answer.read()
            text = text.replace(self.target.encode(), self.endpoint.encode())
            return web.Response(status=answer.status, body=text, content_type="application/x-amz-json-1.0")

    def _record(self, sent: dict[str, Any], taken: list[str]) -> None:
        arrivals = self.arrivals[sent["QueueUrl"].rpartition("/")[2]]
        for entry in sent["Entries"]:
            if entry["Id"] in taken:
                given = {name: one["StringValue"] for name, one in entry["MessageAttributes"].items()}
                arrivals.append(Arrival(body=entry["MessageBody"].encode(), at=time.time(), entry=entry, **given))

    def _answers(self) -> bool:
        assert self.process.child.poll() is None, self.process.output
        try:
            return call("GET", f"{self.target}/moto-api/").status > 0
        except OSError:
            return False


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"__type": f"com.amazonaws.sqs#{code}", "message": code}, status=status)


@contextmanager
def running() -> Iterator[Queues]:
    """Run moto and the proxy."""
    queues = Queues()
    try:
        yield queues
    finally:
        queues.stop()
