"""A proxy in front of DynamoDB Local that can throttle, halve batches, fail, hang, cut connections and refuse items.

`python -m tests.parts.dynamodb_proxy --target http://127.0.0.1:8000` prints `listening on http://127.0.0.1:PORT`.
`PUT /faults` with fields of Faults switches these faults on and all others off; `{}` switches all off. `GET /faults`
returns the faults and the counts.
"""

import argparse
import asyncio
import contextlib
import enum
import json
import random
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from tests.parts.dynamodb_wire import (
    BROKEN,
    HOP_BY_HOP,
    OF_THE_SERVER,
    REFUSED,
    THROTTLED,
    access_denied,
    assets_of,
    dynamodb_response,
    error_response,
    reset,
    split_in_half,
    without_headers,
)
from tests.parts.process import Process
from tests.parts.service import call

LARGEST_BODY = 32 * 1024 * 1024  # bytes; DynamoDB's own limit for a batch is 16 MiB
LONGEST_HANG = 300.0  # seconds
TARGET_SECONDS = 60.0
EVERY_CALL = ("drop_rate", "hang_rate", "error_rate")
BATCHES_ONLY = ("throttle_rate", "half_rate")


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The active faults. A rate is a share of the calls; a call meets one fault at most, so rates sum to at most 1."""

    throttle_rate: float = 0.0  # share of BatchWriteItem calls: 400 ProvisionedThroughputExceededException
    half_rate: float = 0.0  # share of BatchWriteItem calls: half is written, the rest is UnprocessedItems
    error_rate: float = 0.0  # share of all calls: 500 InternalServerError
    hang_rate: float = 0.0  # share of all calls: never answered
    drop_rate: float = 0.0  # share of all calls: the connection is reset
    deny: str = ""  # an operation, such as Query: 400 AccessDeniedException, as for a role without the right to call it
    refuse_for_good: str = ""  # part of an asset: a write of such an item is 400 ValidationException as a whole

    def __post_init__(self) -> None:
        rates = [getattr(self, effect) for effect in (*EVERY_CALL, *BATCHES_ONLY)]
        if min(rates) < 0 or sum(rates) > 1:
            raise ValueError("rates are from 0 to 1, and together at most 1")


@dataclass(slots=True)
class Counts:
    """Counts since the start: calls by outcome, and the batch items that the target has stored."""

    calls: int = 0
    passed: int = 0
    items: int = 0
    throttled: int = 0
    halved: int = 0
    errors: int = 0
    hung: int = 0
    dropped: int = 0
    refused: int = 0
    unreachable: int = 0


class Effect(enum.StrEnum):
    """The outcome of a call; each value is the name of its rate in Faults."""

    NONE = "none"
    THROTTLE = "throttle_rate"
    HALF = "half_rate"
    ERROR = "error_rate"
    HANG = "hang_rate"
    DROP = "drop_rate"


class Proxy:
    """Forward calls to `target`, except for the active faults; the same seed hits the same calls."""

    def __init__(self, target: str, session: aiohttp.ClientSession, seed: int) -> None:
        self._target = target.rstrip("/")
        self._session = session
        self._random = random.Random(seed)
        self._faults = Faults()
        self._counts = Counts()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request: /faults is answered here, all others are forwarded or hit by a fault."""
        body = await request.read()
        if request.path == "/faults":
            return self._switch(request.method, body)
        self._counts.calls += 1
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if self._is_refused(operation, body):
            self._counts.refused += 1
            return error_response(400, *REFUSED)
        if operation and operation == self._faults.deny:
            self._counts.refused += 1
            return error_response(400, *access_denied(operation))
        return await self._meet(self._effect(operation), request, body)

    def _switch(self, method: str, body: bytes) -> web.Response:
        if method == "PUT":
            try:
                self._faults = msgspec.json.decode(body, type=Faults)
            except msgspec.DecodeError as error:
                return web.json_response({"msg": str(error)}, status=400)
        return web.json_response(
            {"faults": msgspec.to_builtins(self._faults), "done": msgspec.to_builtins(self._counts)}
        )

    def _is_refused(self, operation: str, body: bytes) -> bool:
        wanted = self._faults.refuse_for_good
        if not wanted or wanted.encode() not in body or operation not in ("BatchWriteItem", "PutItem"):
            return False
        return any(wanted in asset for asset in assets_of(json.loads(body)))

    def _effect(self, operation: str) -> Effect:
        """Pick the fault with one random number, so that each rate is an exact share whatever the others are."""
        rates = (*EVERY_CALL, *BATCHES_ONLY) if operation == "BatchWriteItem" else EVERY_CALL
        drawn = self._random.random()
        bounds = accumulate(getattr(self._faults, rate) for rate in rates)
        return next((Effect(rate) for rate, bound in zip(rates, bounds, strict=True) if drawn < bound), Effect.NONE)

    async def _meet(self, effect: Effect, request: web.BaseRequest, body: bytes) -> web.Response:
        """Apply the fault to the call."""
        match effect:
            case Effect.THROTTLE:
                self._counts.throttled += 1
                return error_response(400, *THROTTLED)
            case Effect.ERROR:
                self._counts.errors += 1
                return error_response(500, *BROKEN)
            case Effect.HANG:
                self._counts.hung += 1
                await asyncio.sleep(LONGEST_HANG)
                return reset(request)
            case Effect.DROP:
                self._counts.dropped += 1
                return reset(request)
            case Effect.HALF:
                return await self._half(request, body)
            case Effect.NONE:
                return await self._send_on(request, body)

    async def _half(self, request: web.BaseRequest, body: bytes) -> web.Response:
        """Forward the first half of the items (the larger one) and return the rest as unprocessed."""
        sent = json.loads(body)
        taken, left = split_in_half(sent["RequestItems"])
        answer = await self._send_on(request, json.dumps(sent | {"RequestItems": taken}).encode())
        if answer.status != 200 or not isinstance(answer.body, bytes):
            return answer
        self._counts.halved += 1
        said = json.loads(answer.body)
        unprocessed = said.get("UnprocessedItems", {})
        for table, puts in left.items():
            unprocessed[table] = unprocessed.get(table, []) + puts
        return dynamodb_response(200, said | {"UnprocessedItems": unprocessed}, answer.headers)

    async def _send_on(self, request: web.BaseRequest, body: bytes) -> web.Response:
        """Return the target's answer; while the target is away, reset the connection."""
        try:
            async with self._session.request(
                request.method,
                self._target + request.raw_path,
                headers=without_headers(HOP_BY_HOP, request.headers),
                data=body,
                allow_redirects=False,
            ) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            self._counts.unreachable += 1
            return reset(request)
        self._counts.passed += 1
        if answer.status == 200:
            self._counts.items += body.count(
                b'"PutRequest"'
            )  # in a JSON string the quotes would be escaped, so this counts keys only
        return web.Response(body=said, status=answer.status, headers=without_headers(OF_THE_SERVER, answer.headers))


class DynamoProxy:
    """A running proxy in front of the DynamoDB at `target`. While it is stopped, that DynamoDB is away."""

    def __init__(self, target: str, seed: int = 1, port: int = 0) -> None:
        options = ["--target", target, "--seed", str(seed), "--port", str(port)]
        self.process = Process.of_program("tests.parts.dynamodb_proxy", *options)
        self.endpoint = self.process.wait_for_line(r"listening on (http://\S+)")[1]

    def url(self, table: str) -> str:
        """Return the AGGREGATOR_HISTORY_URL of a table behind the proxy."""
        return f"dynamodb://{table}?region=us-east-1&endpoint={self.endpoint}"

    def faults(self, **faults: object) -> None:
        """Switch these faults on and all others off."""
        answer = call("PUT", f"{self.endpoint}/faults", body=json.dumps(faults).encode())
        assert answer.status == 200, answer.text

    def done(self, what: str) -> int:
        """Return one of the proxy's counts, by its name in Counts."""
        count = call("GET", f"{self.endpoint}/faults").json["done"][what]
        assert isinstance(count, int)
        return count

    def stop(self) -> None:
        """Stop the process."""
        self.process.stop()


@contextlib.asynccontextmanager
async def listening(target: str, seed: int, port: int = 0) -> AsyncIterator[int]:
    """Serve on this port, or a free one, while the block runs; yields the port."""
    connector = aiohttp.TCPConnector(limit=0)  # no limit here: the client in front limits its concurrent calls
    timeout = aiohttp.ClientTimeout(total=TARGET_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        # handler_cancellation: a hanging call ends when its client disconnects
        server = web.Server(
            Proxy(target, session, seed).handle,
            handler_cancellation=True,
            client_max_size=LARGEST_BODY,
            access_log=None,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


async def _run(target: str, seed: int, at: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with listening(target, seed, at) as port:
        print(f"listening on http://127.0.0.1:{port}", flush=True)  # noqa: T201  # the starting process reads the port from this line
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the proxy until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="dynamodb_proxy", description="Faults in front of DynamoDB.")
    parser.add_argument("--target", required=True, help="http://host:port of the DynamoDB behind it")
    parser.add_argument("--seed", type=int, default=1, help="another seed strikes other calls")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    options = parser.parse_args(arguments)
    uvloop.run(_run(options.target, options.seed, options.port))


if __name__ == "__main__":
    main()
