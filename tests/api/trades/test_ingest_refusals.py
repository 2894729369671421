"""POST /ingest: every refusal, what is stored before it, and the connection after it."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from aggregator.api.access.policy import Policy
from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.api.trades import ingest
from tests.parts.ingest_api import (
    JSON,
    KEYS,
    LINES,
    PATIENT,
    PROTOBUF,
    IngestApi,
    array,
    counts,
    ingesting,
    line,
    lines,
    post,
    updates,
)
from tests.parts.service import Answer
from tests.parts.serving import serving
from tests.parts.trade_api import trade

TYPES = (JSON, LINES, PROTOBUF)
BODIES = {JSON: array(2), LINES: lines(0, 2), PROTOBUF: updates(2)}


def why(answer: Answer) -> tuple[int, str]:
    """Return status and code of a refusal."""
    assert answer.json["msg"]
    return answer.status, answer.json["code"]


async def closed(api: IngestApi, body: bytes = array(1), content_type: str = JSON) -> "asyncio.Task[Answer]":
    """Close the store, send a request, and return it once its trades wait."""
    api.store.gate.clear()
    before = api.log.backlog.trades
    calling = asyncio.create_task(api.post(body, content_type))
    async with asyncio.timeout(PATIENT):
        while api.log.backlog.trades == before:
            await asyncio.sleep(0.01)
    return calling


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (401, "key_needed")),
        ({"x_api_key": "guess"}, (403, "key_invalid")),
        ({"x_api_key": "reads"}, (403, "key_read_only")),
        ({"x_api_key": "all", "origin": "https://theirs.example"}, (403, "foreign_origin")),
        ({"x_api_key": "all", "origin": "null"}, (403, "foreign_origin")),
        ({"x_api_key": "all"}, None),
        ({"authorization": "Bearer all"}, None),
        ({"x_api_key": "all", "origin": "http://ours.example"}, None),
    ],
)
async def test_keys_and_origins(tmp_path: Path, headers: dict[str, str], expected: tuple[int, str] | None) -> None:
    """With API_KEYS set, a key that may write is needed; pages of other sites may send nothing."""
    async with ingesting(tmp_path, Policy(keys=KEYS)) as api:
        answer = await api.post(array(2), **headers)
        assert (None if answer.status == 200 else why(answer)) == expected
        assert len(await api.store.ids()) == (2 if expected is None else 0)
        assert ("www-authenticate" in answer.headers) == (answer.status == 401)


async def test_a_key_is_checked_before_the_body_is_read(tmp_path: Path) -> None:
    """Who may not write cannot make the service read anything."""

    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    async with ingesting(tmp_path, Policy(keys=KEYS)) as api:
        assert (await post(api.app, unread(), LINES, {})).status == 401
        assert (await post(api.app, unread(), "text/plain", {"x-api-key": "all"})).status == 415


@pytest.mark.parametrize("content_type", ["text/plain", "text/csv", "application/xml", "application/jsonx", "x"])
async def test_foreign_types(tmp_path: Path, content_type: str) -> None:
    """Another Content-Type is refused."""
    async with ingesting(tmp_path) as api:
        assert why(await api.post(array(1), content_type)) == (415, "unknown_media_type")


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_compressed_bodies(tmp_path: Path, content_type: str, encoding: str) -> None:
    """A compressed body is refused."""
    async with ingesting(tmp_path) as api:
        answer = await api.post(BODIES[content_type], content_type, content_encoding=encoding)
        assert why(answer) == (415, "unknown_media_type")
        assert (await api.post(BODIES[content_type], content_type, content_encoding="identity")).status == 200


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "text/json", "", " application/json "]
)
async def test_forms_of_a_type(tmp_path: Path, content_type: str) -> None:
    """Parameters and case do not matter; a body without a type is JSON."""
    async with ingesting(tmp_path) as api:
        assert (await api.post(array(1), content_type)).status == 200


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
async def test_too_many_bytes(tmp_path: Path, content_type: str) -> None:
    """1,000,000 bytes are read, one more is refused, and the connection is closed."""
    async with ingesting(tmp_path) as api:
        assert (await api.post([b" " * 999_999, b" "], content_type)).status == 400
        answer = await api.post([b" " * 999_999, b" ", b" "], content_type)
        assert why(answer) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"


async def test_a_line_that_is_too_long(tmp_path: Path) -> None:
    """A line of more than 64 KiB is refused while it comes; the answer says how much before it is stored."""
    async with ingesting(tmp_path) as api:
        answer = await api.post([lines(0, 3) + b"{}\n", b"x" * 40_000, b"x" * 40_000, b"\n", line(9)], LINES)
        assert why(answer) == (413, "body_too_large")
        await api.processor.drain(PATIENT)
        assert await api.store.ids() == ["0", "1", "2"]
        assert [one["index"] for one in answer.json["rejected"]] == [3]
        assert answer.headers["connection"] == "close"
        assert counts(await api.post(lines(0, 3), LINES)) == (0, 3, 0)


@pytest.mark.parametrize("content_type", TYPES)
async def test_a_body_that_does_not_come(tmp_path: Path, content_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 after thirty seconds without the rest; whole lines before it are stored."""
    monkeypatch.setattr(ingest, "_BODY_SECONDS", 0.2)  # private; the alternative is to wait for thirty seconds

    async def parts() -> AsyncIterator[bytes]:
        yield BODIES[content_type]
        await asyncio.Event().wait()

    async with ingesting(tmp_path) as api:
        answer = await post(api.app, parts(), content_type, {})
        assert why(answer) == (408, "request_too_slow")
        assert answer.headers["connection"] == "close"
        await asyncio.wait_for(api.processor.drain(PATIENT), PATIENT)
        assert await api.store.ids() == (["0", "1"] if content_type == LINES else [])


async def test_lines_that_still_come_when_the_service_stops(tmp_path: Path) -> None:
    """503 when the server's time to stop is over; the answer says how many trades are stored."""

    async def parts() -> AsyncIterator[bytes]:
        yield lines(0, 2)
        await asyncio.Event().wait()

    async with ingesting(tmp_path) as api, asyncio.timeout(PATIENT):
        calling = asyncio.create_task(post(api.app, parts(), LINES, {}))
        while await api.store.ids() != ["0", "1"]:
            await asyncio.sleep(0.01)
        await api.processor.drain(PATIENT)
        calling.cancel()
        answer = await calling
        assert why(answer) == (503, "stopping")
        assert counts(answer) == (2, 0, 0)
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("content_type", TYPES)
async def test_a_full_backlog(tmp_path: Path, content_type: str) -> None:
    """503 with Retry-After; nothing of the refused request is stored, and later requests are served again."""
    async with ingesting(tmp_path, most=1000, durable_seconds=0.2) as api:
        api.store.gate.clear()
        waiting = api.log.append([trade(number, asset="ethusdt") for number in range(1000)])
        answer = await api.post(BODIES[content_type], content_type)
        assert why(answer) == (503, "backlog_full")
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert counts(answer) == (0, 0, 0) if content_type == LINES else "accepted" not in answer.json
        api.store.gate.set()
        async with asyncio.timeout(PATIENT):
            assert (await waiting).accepted == 1000
        assert await api.store.ids() == []
        assert (await api.post(BODIES[content_type], content_type)).status == 200


async def test_lines_wait_for_room(tmp_path: Path) -> None:
    """Lines are not refused where the backlog has room soon enough."""
    async with ingesting(tmp_path, most=1) as api:
        waiting = await closed(api)
        calling = asyncio.create_task(api.post(lines(5, 8), LINES))
        await asyncio.wait([calling], timeout=0.1)
        api.store.gate.set()
        async with asyncio.timeout(PATIENT):
            assert (counts(await waiting), counts(await calling)) == ((1, 0, 0), (3, 0, 0))


@pytest.mark.parametrize("content_type", TYPES)
async def test_trades_that_are_not_stored_in_time(tmp_path: Path, content_type: str) -> None:
    """503 with Retry-After; they are stored later all the same, and a repeat finds them as duplicates."""
    async with ingesting(tmp_path, durable_seconds=0.2) as api:
        api.store.gate.clear()
        answer = await api.post(BODIES[content_type], content_type)
        assert why(answer) == (503, "not_stored_yet")
        assert answer.headers["retry-after"] == "1"
        api.store.gate.set()
        await api.processor.drain(PATIENT)
        assert counts(await api.post(BODIES[content_type], content_type)) == (0, 2, 0)


async def test_the_answer_says_what_was_stored_before(tmp_path: Path) -> None:
    """Of lines whose end cannot be stored, `accepted` is what is stored for sure."""
    async with ingesting(tmp_path, durable_seconds=0.2) as api:

        async def parts() -> AsyncIterator[bytes]:
            yield lines(0, 3)
            await api.processor.drain(PATIENT)
            api.store.gate.clear()
            yield lines(3, 8)

        answer = await post(api.app, parts(), LINES, {})
        assert why(answer) == (503, "not_stored_yet")
        assert counts(answer) == (3, 0, 0)
        api.store.gate.set()


UNREAD = 65_536  # bytes of a refused body that are read for the sake of the connection
REFUSED = [
    (400, JSON, b"{}", {}),
    (400, LINES, b"{}\n", {}),
    (401, JSON, array(1), {"X-API-Key": ""}),
    (401, LINES, lines(0, 9000), {"X-API-Key": ""}),
    (403, JSON, array(1), {"Origin": "https://theirs.example"}),
    (413, JSON, json.dumps([{}] * 1001).encode(), {}),
    (413, JSON, b" " * 2_000_000, {}),
    (413, LINES, b"x" * 2_000_000, {}),
    (415, "text/plain", b"x" * 900_000, {}),
    (415, LINES, lines(0, 9000), {"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize(("status", "content_type", "body", "headers"), REFUSED)
async def test_the_connection_after_a_refusal(
    tmp_path: Path, status: int, content_type: str, body: bytes, headers: dict[str, str]
) -> None:
    """The next request over the same connection is answered, unless the refusal says that it closes the connection."""
    async with ingesting(tmp_path, Policy(keys=KEYS)) as api:
        server = Server(api.app, Limits(bodies=frozenset({"/ingest"})), api.metrics, 2)
        async with serving(server) as port:
            await asyncio.to_thread(refused_then_served, port, status, content_type, body, headers)


def refused_then_served(port: int, status: int, content_type: str, body: bytes, headers: dict[str, str]) -> None:
    """Send a request that is refused, and a good one over the same connection if it stays open."""
    key = {"X-API-Key": "all"}
    sent = {name: value for name, value in (key | {"Content-Type": content_type} | headers).items() if value}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENT)) as connection:
        with suppress(ConnectionError):  # refused while it was sent; the response is there to be read
            connection.request("POST", "/ingest", body, sent)
        with closing(connection.getresponse()) as answer:
            assert answer.status == status
            assert json.loads(answer.read())["code"]
        if answer.getheader("connection") == "close":
            assert len(body) > UNREAD
            return
        address = connection.sock.getsockname()
        try:
            connection.request("POST", "/ingest", array(3), key | {"Content-Type": JSON})
            served = connection.getresponse()
        except (ConnectionError, http.client.HTTPException):  # ended, rather than read to the end
            assert len(body) > UNREAD
            return
        with closing(served):
            assert (served.status, connection.sock.getsockname()) == (200, address)
