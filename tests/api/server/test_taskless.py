"""Small bodies of POST /ingest, which are served without a task: the same answers as by the application."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Policy
from aggregator.api.fast_path.buffered_metrics import BufferedMetrics
from aggregator.api.fast_path.ingest import IngestFastPath
from aggregator.api.server.direct_write import Answer, Take
from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.api.trades.ingest import INGEST_PATH
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.ranking import AccessCounts
from aggregator.trades.ingest import Parser
from tests.parts.examples import NOW
from tests.parts.ingest_api import CATALOG, PATIENT, IngestApi, ingesting, line
from tests.parts.serving import serving, until
from tests.parts.streams import rest

LAST = b"Connection: close\r\n"
STORED = b'"accepted":1,"duplicates":0'


class Counted(IngestFastPath):
    """The handler, with the numbers of requests that it has begun to serve and that it has answered itself."""

    begun = answered = 0

    def taker(self, scope: Mapping[str, Any]) -> Take | None:
        """As `Handler.taker`."""
        take = super().taker(scope)
        return None if take is None else partial(self._take, take)

    def _take(self, take: Take, body: bytes, answer: Answer) -> bool:
        def counted(reply: object) -> None:
            self.answered += reply is not None
            answer(reply)  # type: ignore[arg-type]  # passed on as it came

        is_mine = take(body, counted)
        self.begun += is_mine
        return is_mine


class Running:
    """The application of POST /ingest behind the server, with its handler or without."""

    def __init__(
        self, api: IngestApi, durable_seconds: float, policy: Policy | None = None, *, taskless: bool = True
    ) -> None:
        self.api = api
        buffered = BufferedMetrics(api.metrics, AccessCounts(api.metrics), FreshnessMetrics(CATALOG, api.metrics))
        parser = Parser(CATALOG.find)
        parse_seconds = api.metrics.trades.stage_seconds.labels("parse").inc
        policy = policy or Policy()
        self.handler = Counted(parser, api.log, buffered, lambda: NOW, policy, parse_seconds, durable_seconds)
        limits = Limits(bodies=frozenset({INGEST_PATH}))
        self.server = Server(self, limits, api.metrics, 2, handler=self.handler if taskless else None)
        self.port = self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that the handler does not serve."""
        self.asked += 1
        await self.api.app(scope, receive, send)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a client."""
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def running(
    folder: Path, durable_seconds: float = PATIENT, policy: Policy | None = None, *, taskless: bool = True
) -> AsyncIterator[Running]:
    """Serve while the block runs."""
    folder.mkdir()  # noqa: ASYNC240  # a test may block for a moment
    async with ingesting(folder, policy, durable_seconds=durable_seconds) as api:
        one = Running(api, durable_seconds, policy, taskless=taskless)
        async with serving(one.server) as one.port:
            yield one


def post(body: bytes, more: bytes = b"", content_type: bytes = b"application/json", version: bytes = b"1.1") -> bytes:
    """Return a request; `more` are header lines."""
    head = b"POST /ingest HTTP/%b\r\nHost: x\r\nContent-Type: %b\r\n" % (version, content_type)
    return head + b"Content-Length: %d\r\n%b\r\n%b" % (len(body), more, body)


def lines(*bodies: bytes, more: bytes = b"") -> bytes:
    """Return a request with lines of JSON."""
    return post(b"\n".join(bodies), more, b"application/x-ndjson")


async def answers_to(folder: Path, parts: list[bytes], *, taskless: bool) -> tuple[list[bytes], int]:
    """Send these parts; return the answers, without what differs always, and how many the handler has given."""
    async with running(folder, taskless=taskless) as server:
        reader, writer = await server.connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)  # so that the server gets them apart; the outcome is the same if it does not
        raw = re.sub(rb"(date|x-request-id): [^\r]+\r\n", b"", await rest(reader, writer))
        answers = [sorted(one.split(b"\r\n")) for one in raw.split(b"HTTP/1.1 ")[1:]]
        return [b"\n".join(one) for one in answers], server.handler.answered


REQUESTS = [
    ([post(line(1)), post(line(2), LAST)], 1),
    ([post(line(1)), post(line(1)), post(line(1), LAST)], 2),
    ([b"".join(post(line(number)) for number in range(50)) + post(line(50), LAST)], 50),
    ([post(line(1))[:-40], post(line(1))[-40:], post(line(2)), post(line(3), LAST)], 2),  # a body in two parts
    ([post(line(1))[:20], post(line(1))[20:], post(line(2), LAST)], 1),  # a head in two parts
    ([post(b"{}"), post(line(1, price=0)), post(b"[" + line(1) + b"]"), post(line(2), LAST)], 0),
    ([lines(line(1)), lines(line(1)), lines(*map(line, range(100))), lines(line(2), more=LAST)], 3),
    ([lines(line(1), line(1), line(2)), lines(line(1)[:-20]), lines(line(1), b"", line(3)), lines(more=LAST)], 2),
    ([lines(line(1), line(2, price=0)), lines(line(3), line(4, exchange="other")), lines(line(5), more=LAST)], 1),
    ([lines(line(1), b"\n" * 70_000), lines(line(2))[:-60], lines(line(2))[-60:], lines(line(3), more=LAST)], 1),
    ([post(line(1), b"Expect: 100-continue\r\n"), post(line(2), LAST)], 0),
    ([post(line(1)), b"GET /ingest HTTP/1.1\r\nHost: x\r\n\r\n", post(line(2), LAST)], 1),
    ([post(line(1), version=b"1.0")], 0),
]


@pytest.mark.parametrize(("parts", "answered"), REQUESTS)
async def test_the_same_answers(tmp_path: Path, parts: list[bytes], answered: int) -> None:
    """Whole single trades are answered by the handler, as the application answers them; the rest by the application."""
    by_handler, found = await answers_to(tmp_path / "handler", parts, taskless=True)
    by_application, _ = await answers_to(tmp_path / "application", parts, taskless=False)
    assert by_handler == by_application
    assert found == answered


@pytest.mark.parametrize("keys", [Keys(read_keys=[SecretStr("reads")]), Keys([SecretStr("all")])])
async def test_a_trade_without_the_key_that_is_needed(tmp_path: Path, keys: Keys) -> None:
    """The handler asks for no key, so the application serves the request, and refuses it."""
    async with running(tmp_path / "keys", policy=Policy(keys=keys)) as server:
        reader, writer = await server.connect()
        writer.write(post(line(1)))  # the handler leaves the last request of a connection to the application
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 401 ")
        assert (server.handler.begun, await server.api.store.ids()) == (0, [])
        writer.close()


@pytest.mark.parametrize(
    "request_of", [lambda size: post(b" " * size), lambda size: lines(b"x" * size)], ids=["JSON", "a line"]
)
async def test_a_client_that_reads_nothing_before_it_has_sent_everything(
    tmp_path: Path, request_of: Callable[[int], bytes]
) -> None:
    """It gets the refusal of a body that is too large: the rest is read, although nobody needs it."""
    async with running(tmp_path / "a") as server:
        reader, writer = await server.connect()
        writer.write(request_of(4_000_000))
        await writer.drain()
        assert b'"code":"body_too_large"' in await rest(reader, writer)


async def test_a_trade_that_is_not_stored_in_time(tmp_path: Path) -> None:
    """The application takes over and refuses in the end; the trade counts once."""
    async with running(tmp_path / "a", durable_seconds=0.2) as server:
        server.api.store.gate.clear()
        reader, writer = await server.connect()
        writer.write(post(line(1)) + post(line(2), LAST))
        assert b"not_stored_yet" in await reader.readuntil(b"}")
        server.api.store.gate.set()
        assert STORED in await rest(reader, writer)
        assert (server.handler.begun, server.handler.answered) == (1, 0)
        await server.api.processor.drain(PATIENT)
        assert await server.api.store.ids() == ["1", "2"]


async def test_a_body_that_does_not_come(tmp_path: Path) -> None:
    """After a second or two the application waits for it, which bounds the time."""
    async with running(tmp_path / "a") as server:
        reader, writer = await server.connect()
        writer.write(post(line(1))[:-40])
        await until(lambda: server.asked == 1)
        writer.write(post(line(1))[-40:])
        assert STORED in await reader.readuntil(b"}")
        assert server.handler.begun == 0
        writer.close()


async def test_a_client_that_leaves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its trade is stored all the same, and nobody gets the answer, with which the connection ends."""
    async with running(tmp_path / "a") as server:
        server.api.store.gate.clear()
        _, writer = await server.connect()
        writer.write(post(line(1)))
        await until(lambda: server.handler.begun == 1)
        writer.transport.abort()
        (connection,) = server.server.server_state.connections
        await until(lambda: not connection.cycle.keep_alive)  # type: ignore[union-attr]  # ours
        server.api.store.gate.set()
        await until(lambda: server.handler.answered == 1)
        await until(lambda: not server.server.server_state.connections)
        assert await server.api.store.ids() == ["1"]
    assert not caplog.records


async def test_a_stop_waits_for_the_answer(tmp_path: Path) -> None:
    """A client whose trade is being stored gets the answer, and the connection ends."""
    async with running(tmp_path / "a") as server:
        server.api.store.gate.clear()
        reader, writer = await server.connect()
        writer.write(post(line(1)))
        await until(lambda: server.handler.begun == 1)
        server.server.should_exit = True
        await asyncio.sleep(0.3)  # the stop has begun; the outcome is the same if it has not
        server.api.store.gate.set()
        answer = await rest(reader, writer)
        assert STORED in answer


async def test_a_request_leaves_nothing_to_the_collector(tmp_path: Path) -> None:
    """There are no reference cycles."""
    async with running(tmp_path / "a") as server:
        reader, writer = await server.connect()
        gc.collect()
        gc.disable()
        try:
            for number in range(100):
                writer.write(post(line(number)))
                await reader.readuntil(b"}")
            assert server.handler.answered == 100
            assert gc.collect() < 100
        finally:
            gc.enable()
            writer.close()
