"""A proxy in front of moto's Kinesis and DynamoDB, with Amazon's limits and faults that moto does not have.

- GetRecords of a shard more than five times a second is throttled.
- One call at a time reaches moto, whose streams are not safe for concurrency.

`python -m tests.parts.kinesis_proxy --target http://127.0.0.1:5000` prints `listening on http://127.0.0.1:PORT`.
`PUT /faults` with fields of Faults switches these faults on and all others off; `GET /faults` returns the counts.
"""

import argparse
import asyncio
import base64
import json
import random
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from tests.parts.dynamodb_wire import HOP_BY_HOP, OF_THE_SERVER, without_headers
from tests.parts.process import Process
from tests.parts.service import call

LARGEST_BODY = 32 * 1024 * 1024
READS_PER_SECOND = 5  # of a shard
THROTTLED = "ProvisionedThroughputExceededException"


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The active faults, each a share of the calls."""

    throttle_rate: float = 0.0  # of GetRecords and PutRecords: 400 ProvisionedThroughputExceededException
    partial_rate: float = 0.0  # of PutRecords: every second record fails
    expire_rate: float = 0.0  # of GetRecords: 400 ExpiredIteratorException
    error_rate: float = 0.0  # of all calls: 500
    garbage_rate: float = 0.0  # of all calls: not done, and 200 with something that is not Amazon's
    lost_rate: float = 0.0  # of all calls: done, but 500
    deny: str = ""  # an operation, such as GetRecords: 400 AccessDeniedException, as for a role without the right to it


GARBAGE = (
    b"{}",
    b"[]",
    b"<html>",
    b'{"Records":[{"SequenceNumber":"x","Data":"eA=="}],"Shards":[{}],"Items":[{"leaseKey":5}],"Attributes":5}',
    b'{"Records":[7],"Shards":[7],"Items":[7],"Attributes":{"leaseCounter":{"N":"x"}},"ShardIterator":7}',
)


class Counts(msgspec.Struct):
    """Counts since the start."""

    calls: int = 0
    too_many: int = 0
    throttled: int = 0
    partial: int = 0
    expired: int = 0
    errors: int = 0


class Proxy:
    """Forwards calls to `target`, except for the active faults."""

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session
        self._random = random.Random(1)
        self._faults, self._counts = Faults(), Counts()
        self._reads: dict[str, deque[float]] = {}
        self._lock = asyncio.Lock()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        body = await request.read()
        if request.path == "/faults":
            if request.method == "PUT":
                self._faults = msgspec.json.decode(body, type=Faults)
            return web.json_response(msgspec.to_builtins(self._counts))
        self._counts.calls += 1
        service, _, operation = request.headers.get("X-Amz-Target", "").rpartition(".")
        sent = json.loads(body) if service.startswith("Kinesis") else {}
        if operation and operation == self._faults.deny:
            return _error(400, "AccessDeniedException")
        if self._draw(self._faults.error_rate):
            self._counts.errors += 1
            return _error(500, "InternalFailure")
        if self._draw(self._faults.garbage_rate):
            self._counts.errors += 1
            return web.Response(body=self._random.choice(GARBAGE), content_type="application/x-amz-json-1.1")
        answer = await self._answer(operation, sent, request, body)
        if self._draw(self._faults.lost_rate):
            self._counts.errors += 1
            return _error(500, "InternalFailure")
        return answer

    async def _answer(
        self, operation: str, sent: dict[str, Any], request: web.BaseRequest, body: bytes
    ) -> web.Response:
        if operation == "GetRecords":
            return await self._get(sent, request, body)
        if operation == "PutRecords":
            return await self._put(sent, request, body)
        return await self._send_on(request, body)

    async def _get(self, sent: dict[str, Any], request: web.BaseRequest, body: bytes) -> web.Response:
        shard = "/".join(base64.b64decode(sent["ShardIterator"]).decode().split(":")[:2])
        reads, now = self._reads.setdefault(shard, deque(maxlen=READS_PER_SECOND)), time.monotonic()
        if len(reads) == READS_PER_SECOND and reads[0] > now - 0.9:  # a tenth of tolerance for a busy machine
            self._counts.too_many += 1
            return _error(400, THROTTLED)
        reads.append(now)
        if self._draw(self._faults.throttle_rate):
            self._counts.throttled += 1
            return _error(400, THROTTLED)
        if self._draw(self._faults.expire_rate):
            self._counts.expired += 1
            return _error(400, "ExpiredIteratorException")
        return await self._send_on(request, body)

    async def _put(self, sent: dict[str, Any], request: web.BaseRequest, body: bytes) -> web.Response:
        if self._draw(self._faults.throttle_rate):
            self._counts.throttled += 1
            return _error(400, THROTTLED)
        if not self._draw(self._faults.partial_rate):
            return await self._send_on(request, body)
        self._counts.partial += 1
        taken = json.dumps(sent | {"Records": sent["Records"][::2]}).encode()
        answer = await self._send_on(request, taken)
        assert isinstance(answer.body, bytes)
        done = iter(json.loads(answer.body)["Records"])
        failed = {"ErrorCode": THROTTLED, "ErrorMessage": "Rate exceeded"}
        records = [failed if place % 2 else next(done) for place in range(len(sent["Records"]))]
        return web.json_response({"FailedRecordCount": len(records) // 2, "Records": records})

    def _draw(self, rate: float) -> bool:
        return rate > 0 and self._random.random() < rate

    async def _send_on(self, request: web.BaseRequest, body: bytes) -> web.Response:
        headers = without_headers(HOP_BY_HOP, request.headers)
        async with (
            self._lock,
            self._session.request(
                request.method, self._target + request.raw_path, headers=headers, data=body
            ) as answer,
        ):
            said = await answer.read()
            return web.Response(body=said, status=answer.status, headers=without_headers(OF_THE_SERVER, answer.headers))


def _error(status: int, kind: str) -> web.Response:
    return web.json_response({"__type": kind, "message": "a fault of the proxy"}, status=status)


class KinesisProxy:
    """A running proxy in front of the server at `target`."""

    def __init__(self, target: str) -> None:
        self.process = Process.of_program("tests.parts.kinesis_proxy", "--target", target)
        self.endpoint = self.process.wait_for_line(r"listening on (http://\S+)")[1]

    def faults(self, **faults: float | str) -> None:
        """Switch these faults on and all others off."""
        assert call("PUT", f"{self.endpoint}/faults", body=json.dumps(faults).encode()).status == 200

    def count(self, name: str) -> int:
        """Return one of the counts."""
        return int(call("GET", f"{self.endpoint}/faults").json[name])

    def stop(self) -> None:
        """Stop the process."""
        self.process.stop()


async def _run(target: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        server = web.Server(Proxy(target, session).handle, client_max_size=LARGEST_BODY, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201  # read by the starter
        await stop.wait()
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the proxy until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="kinesis_proxy")
    parser.add_argument("--target", required=True)
    uvloop.run(_run(parser.parse_args(arguments).target))


if __name__ == "__main__":
    main()
