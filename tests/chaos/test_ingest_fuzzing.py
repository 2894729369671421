"""Malformed, hostile and endless bodies of POST /ingest: documented statuses only, bounded memory, no trade lost.

`CHAOS=full` tries twenty times as many random bodies.
"""

import asyncio
import gzip
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
EXAMPLES = 2_000 if FULL else 100
ANSWER_SECONDS = allowed(40.0)  # the service waits 30 s for the rest of a body
MOST_GROWTH = 120 << 20  # bytes of memory, for all attacks together
JSON, LINES, PROTOBUF = "application/json", "application/x-ndjson", "application/x-protobuf"
TYPES = (JSON, LINES, PROTOBUF)
NOW = time.time()
CUT = 0  # the status of a request whose connection was closed without an answer


class Answer:
    """A status, headers by lower-case name, and a body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = body


class Ingest:
    """Sends bodies to a service, each over its own connection, and reads the answer while it still sends."""

    def __init__(self, service: Service) -> None:
        self.service = service
        operation = service.get("/openapi.json").json["paths"]["/ingest"]["post"]
        self.documented = {int(status) for status in operation["responses"]}
        self._address = urlsplit(service.url)

    def send(self, body: bytes, content_type: str = JSON, **headers: str) -> Answer:
        """Send a body; return the answer, which is one that the document describes."""
        return asyncio.run(self._send(body, content_type, headers))

    async def _send(self, body: bytes, content_type: str, headers: Mapping[str, str]) -> Answer:
        async def whole() -> AsyncIterator[bytes]:
            yield body

        answer = await self.stream(whole(), content_type, {"Content-Length": str(len(body)), **headers})
        assert answer is not None, "the connection was closed without an answer"
        return answer

    async def stream(self, parts: AsyncIterator[bytes], content_type: str, headers: Mapping[str, str]) -> Answer | None:
        """Send what `parts` yields; return the answer, or None if the connection was closed without one."""
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        sent = {"Host": "127.0.0.1", "Content-Type": content_type, **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items())
        writer.write(f"POST /ingest HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
        sending = asyncio.create_task(_write(writer, parts))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await _read(reader)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.transport.abort()
        if answer is not None:
            self.check(answer)
        return answer

    def check(self, answer: Answer) -> None:
        """Fail unless the document describes the answer; one without success says why."""
        assert answer.status in self.documented, (answer.status, answer.body)
        assert answer.status < 500 or answer.status == 503, answer.body
        if answer.status != 200:
            assert json.loads(answer.body)["code"], answer.body
        if answer.status in (429, 503):
            assert answer.headers["retry-after"]

    def stored(self, asset: str) -> list[str]:
        """Return the ids of all stored trades of an asset, oldest first."""
        found: list[str] = []
        path = f"/trades/{asset}?limit=1000&order=asc&start=1000000000"
        while path:
            answer = self.service.get(path)
            if answer.status == 503:  # while the store is busy with trades
                time.sleep(0.1)
                continue
            assert answer.status == 200, answer.text
            page = answer.json
            found += [trade["id"] for trade in page["trades"]]
            path = f"/trades/{asset}?limit=1000&cursor={page['next']}" if page["next"] else ""
        return found

    @property
    def memory(self) -> int:
        """The resident memory of the service in bytes."""
        return int(psutil.Process(self.service.process.child.pid).memory_info().rss)


async def _write(writer: asyncio.StreamWriter, parts: AsyncIterator[bytes]) -> None:
    try:
        async for part in parts:
            writer.write(part)
            await writer.drain()
    except OSError:  # the service has closed the connection; its answer says why
        pass


async def _read(reader: asyncio.StreamReader) -> Answer | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
        answer = Answer(head, b"")
        answer.body = await reader.readexactly(int(answer.headers["content-length"]))
    except (asyncio.IncompleteReadError, OSError):
        return None
    return answer


@pytest.fixture(scope="module")
def ingest(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """Run a service with three assets; at the end it is alive, its memory is bounded, and its log has no traceback."""
    folder = tmp_path_factory.mktemp("ingest")
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\nsolusdt\n")
    service = Service(
        folder,
        exchanges=shared_market.setting,
        symbols_file=folder / "symbols.csv",
        trades_url=f"sqlite:///{folder}/trades.db",
        trades_outbox_path=folder / "trades-outbox.db",
    ).started()
    running = Ingest(service)
    running.send(trades(range(1000), "solusdt"), LINES)  # the memory of a service at work
    before = running.memory
    yield running
    assert service.get("/health").status == 200
    assert running.memory - before < MOST_GROWTH
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.output, service.process.output[-3000:]


def trade(number: int | str, asset: str = "btcusdt") -> bytes:
    """Return a good trade as a line, without its end."""
    fields = {"asset": asset, "price": 77_896.5, "volume": 0.25, "timestamp": round(NOW, 3), "venue": "fuzz"}
    return json.dumps(fields | {"id": str(number)}).encode()


def trades(numbers: Sequence[int], asset: str) -> bytes:
    """Return good trades as lines."""
    return b"".join(trade(number, asset) + b"\n" for number in numbers)


def with_value(field: str, value: bytes) -> bytes:
    """Return a trade with the JSON `value` in a field."""
    fields = {name: json.dumps(one).encode() for name, one in json.loads(trade(0)).items()} | {field: value}
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), one) for name, one in fields.items()) + b"}"


NUMBERS = [
    b"9" * 1_000,
    b"9" * 50_000,
    b"9" * 900_000,
    b"0." + b"9" * 50_000,
    b"1" + b"0" * 50_000 + b".5",
    b"1e999999",
    b"1e-999999",
    b"-1e999999",
    b"1e999999999999999999999999",
    b"1e" + b"9" * 50_000,
    b"NaN",
    b"Infinity",
    b'"NaN"',
    b'"sNaN"',
    b'"Infinity"',
    b'"-Infinity"',
    b'"1e999999"',
    b'"' + b"9" * 50_000 + b'"',
    b'"1_000"',
    b'"\\ud800"',
    b"-0",
    b"0",
    b"01",
    b"+1",
    b"0x10",
    b"true",
    b"null",
    b"{}",
    b"[" * 5_000 + b"]" * 5_000,
]


@pytest.mark.parametrize("content_type", [JSON, LINES])
@pytest.mark.parametrize("field", ["price", "volume", "timestamp", "sequence"])
@pytest.mark.parametrize("value", NUMBERS, ids=range(len(NUMBERS)))
def test_numbers(ingest: Ingest, field: str, value: bytes, content_type: str) -> None:
    """Huge, tiny, endless and impossible numbers are refused or taken, but nothing breaks."""
    assert ingest.send(with_value(field, value), content_type).status in (200, 400, 413)


TEXTS = [b'"' + b"x" * 60_000 + b'"', b'""', b'"\\u0000"', b'"\\ud800"', b'"\xff"', b"1", b"9" * 5_000, b"[]", b"true"]


@pytest.mark.parametrize("content_type", [JSON, LINES])
@pytest.mark.parametrize("field", ["asset", "venue", "id", "side"])
@pytest.mark.parametrize("value", TEXTS, ids=range(len(TEXTS)))
def test_texts(ingest: Ingest, field: str, value: bytes, content_type: str) -> None:
    """Long, empty and undecodable texts are refused or taken, but nothing breaks."""
    assert ingest.send(with_value(field, value), content_type).status in (200, 400, 413)


DOCUMENTS = [
    b"",
    b" ",
    b"\n" * 10_000,
    b"\0" * 10_000,
    b"{",
    b"[",
    b"[]",
    b"{}",
    b"null",
    b'"text"',
    b"[[]]",
    b"[" * 900_000,
    b'{"a":' * 150_000,
    b"[" * 400_000 + b"]" * 400_000,
    b"\xff\xfe\xfd" * 1000,
    b"\xef\xbb\xbf" + trade("bom"),
    trade("utf-16").decode().encode("utf-16"),
    trade("cut")[:-1],
    trade("two") + trade("two"),
    b"[" + trade("comma") + b",]",
    b"[" + b"0," * 499_000 + b"0]",
    gzip.compress(trade("gzip")),
    MarketUpdate(ticker="btcusdt", price=1, volume=1, timestamp_ns=int(NOW * 1e9)).SerializeToString()[:-1],
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x0a" * 100_000,
    b"\x0b" * 100_000,
    b"\x0a\x00" * 400_000,
    b"\x7a\xff\xff\xff\x07",
]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("body", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_bodies(ingest: Ingest, body: bytes, content_type: str) -> None:
    """Empty, deep, cut and foreign bodies of each type are refused, but for the line with a mark of the byte order."""
    assert ingest.send(body, content_type).status in (200, 400, 413)


@pytest.mark.parametrize(
    ("content_type", "headers", "status"),
    [
        ("text/plain", {}, 415),
        ("application/xml", {}, 415),
        ("multipart/form-data; boundary=x", {}, 415),
        ("application/x-www-form-urlencoded", {}, 415),
        ("application/json" + "x" * 5_000, {}, 415),
        ("application/x-protobuf; messageType=other.Message", {}, 400),
        (JSON, {"Content_Encoding": "gzip"}, 415),
        (LINES, {"Content_Encoding": "gzip"}, 415),
        (PROTOBUF, {"Content_Encoding": "deflate, gzip"}, 415),
        (LINES, {"Content_Encoding": "br"}, 415),
    ],
)
def test_types(ingest: Ingest, content_type: str, headers: dict[str, str], status: int) -> None:
    """A foreign type and any compression are refused; a gzip bomb is not unpacked."""
    bomb = gzip.compress(b"0" * (64 << 20), 9)
    before = ingest.memory
    assert ingest.send(bomb, content_type, **headers).status == status
    assert ingest.memory - before < 32 << 20


def updates(count: int) -> bytes:
    """Return a batch of updates."""
    one = MarketUpdate(ticker="ethusdt", price=3_000.5, volume=1, timestamp_ns=int(NOW * 1e9))
    return bytes(MarketUpdates(updates=[one] * count).SerializeToString())


def array(count: int) -> bytes:
    """Return an array of trades of ethusdt."""
    return b"[" + b",".join(trade(f"array-{number}", "ethusdt") for number in range(count)) + b"]"


@pytest.mark.parametrize(
    ("body", "content_type"), [(array(1_001), JSON), (updates(1_001), PROTOBUF)], ids=["json", "protobuf"]
)
def test_too_many_trades(ingest: Ingest, body: bytes, content_type: str) -> None:
    """1,001 trades in a body are refused as a whole."""
    before = ingest.stored("ethusdt")
    assert ingest.send(body, content_type).status == 413
    assert ingest.stored("ethusdt") == before


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_too_many_bytes(ingest: Ingest, content_type: str) -> None:
    """One byte more than 1 MB is refused."""
    assert ingest.send(b" " * 1_000_001, content_type).status == 413


def test_too_long_a_line(ingest: Ingest) -> None:
    """A line without an end is refused; the lines before it are stored."""
    answer = ingest.send(trade("before-the-long-line") + b"\n" + b"x" * 2_000_000, LINES)
    assert answer.status == 413
    wait_for(lambda: "before-the-long-line" in ingest.stored("btcusdt"))


def test_good_among_bad(ingest: Ingest) -> None:
    """What is good is stored, each trade once, also when the body is sent three times; what is bad is listed."""
    bad = [b"{", b"\xff", b"[1]", with_value("price", b"0"), with_value("price", b"1e999999"), b"[" * 1_000]
    numbers = [f"mixed-{number}" for number in range(300)]
    lines = [line for number, one in enumerate(numbers) for line in (trade(one), bad[number % len(bad)])]
    answers = [json.loads(ingest.send(b"\n".join(lines), LINES).body) for _ in range(3)]
    assert [answer["accepted"] for answer in answers] == [300, 0, 0]
    assert [answer["duplicates"] for answer in answers] == [0, 300, 300]
    assert [[one["index"] for one in answer["rejected"]] for answer in answers] == [list(range(1, 600, 2))] * 3
    assert sorted(one for one in ingest.stored("btcusdt") if one.startswith("mixed-")) == sorted(numbers)


def chunk(data: bytes) -> bytes:
    """Return a chunk of a body in chunked encoding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def endless(part: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    """Yield a part again and again."""
    while True:
        yield part
        await asyncio.sleep(pause)


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("part", [b"x", b" ", b"9" * 65_536], ids=["x", "space", "nines"])
async def test_a_body_without_end(ingest: Ingest, content_type: str, part: bytes) -> None:
    """A body that never ends is refused when it is too large."""
    answer = await ingest.stream(endless(chunk(part * (65_536 // len(part)))), content_type, CHUNKED)
    assert answer is None or answer.status == 413


async def test_lines_without_end(ingest: Ingest) -> None:
    """Lines may go on for ever: they are stored as they come, and the memory stays bounded when the client leaves."""
    sent = 0

    async def lines() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000:
            yield chunk(trades(range(sent, sent + 500), "solusdt"))
            sent += 500
        await asyncio.Event().wait()

    before, count = ingest.memory, len(ingest.stored("solusdt"))
    task = asyncio.create_task(ingest.stream(lines(), LINES, CHUNKED))
    async with asyncio.timeout(allowed(60)):
        while sent < 50_000:
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(wait_for, lambda: len(ingest.stored("solusdt")) > count)
    assert ingest.memory - before < 64 << 20


@pytest.mark.parametrize("content_type", TYPES)
async def test_a_byte_at_a_time(ingest: Ingest, content_type: str) -> None:
    """A body may come a byte at a time; it is read as any other."""
    update = MarketUpdate(ticker="btcusdt", price=5, volume=1, timestamp_ns=int(NOW * 1e9)).SerializeToString()
    body = update if content_type == PROTOBUF else trade(f"slow-{content_type}")

    async def bytewise() -> AsyncIterator[bytes]:
        for byte in body:
            yield chunk(bytes([byte]))
            await asyncio.sleep(0)
        yield b"0\r\n\r\n"

    answer = await ingest.stream(bytewise(), content_type, CHUNKED)
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "rest",
    [b"", b"zz\r\n", b"-1\r\nx\r\n", b"ffffffffffffffffff\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"1\r\nxyz", b"1" * 100_000],
    ids=lambda rest: f"{rest[:6]!r}",
)
async def test_broken_chunks(ingest: Ingest, content_type: str, rest: bytes) -> None:
    """A chunked body that breaks, or a client that leaves in the middle of one, harms no other request."""

    async def broken() -> AsyncIterator[bytes]:
        yield chunk(b'{"asset":')
        yield rest

    reading = asyncio.create_task(ingest.stream(broken(), content_type, CHUNKED))
    await asyncio.wait([reading], timeout=0.3)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert (await asyncio.to_thread(ingest.service.get, "/health")).status == 200


async def test_a_flood_of_bad_lines(ingest: Ingest) -> None:
    """A million lines that are no trades delay no other request for long, and their dead letters fill no memory."""
    before, slowest = ingest.memory, 0.0
    flood = asyncio.create_task(ingest.stream(once(b"\0\n" * 1_000_000), LINES, {"Content-Length": "2000000"}))
    while not flood.done():
        began = time.monotonic()
        assert (await asyncio.to_thread(ingest.service.get, "/health")).status == 200
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    answer = await flood
    assert answer is not None
    assert answer.status == 400
    found = json.loads(answer.body)
    assert (found["rejected_count"], len(found["rejected"])) == (1_000_000, 1_000)
    assert slowest < allowed(0.5)
    assert ingest.memory - before < 64 << 20


async def once(part: bytes) -> AsyncIterator[bytes]:
    """Yield a part."""
    yield part


async def test_many_bodies_that_stand_still(ingest: Ingest) -> None:
    """A hundred clients that send half a body and wait keep no other client from storing trades."""
    waiting = []
    for number in range(100):
        parts = still(b'{"asset":"btcusdt"' if number % 2 else trade(f"still-{number}") + b"\n{")
        headers = {"Content-Length": "1000"}
        waiting.append(asyncio.create_task(ingest.stream(parts, TYPES[number % 3], headers)))
    await asyncio.sleep(0)
    answer = await asyncio.to_thread(ingest.send, trade("beside-those-that-wait"))
    assert answer.status == 200
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def still(part: bytes) -> AsyncIterator[bytes]:
    """Yield a part, and nothing more."""
    yield part
    await asyncio.Event().wait()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("asset", "symbol", "ticker", "price", "volume", "size", "timestamp", "time", "venue", "id", "side", "sequence")
RECORDS = st.dictionaries(st.sampled_from(NAMES), VALUES | st.just("btcusdt") | st.just(NOW), max_size=8)
UPDATES = st.builds(
    MarketUpdate,
    ticker=st.just("btcusdt") | st.text(max_size=10),
    price=st.floats(),
    volume=st.integers(-(2**63), 2**63 - 1),
    timestamp_ns=st.just(int(NOW * 1e9)) | st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a body that is nearly right: records or updates, some of whose bytes are changed, left out or doubled."""
    kind = draw(st.sampled_from(TYPES))
    if kind == PROTOBUF:
        body = bytes(MarketUpdates(updates=draw(st.lists(UPDATES, max_size=4))).SerializeToString())
    else:
        texts = [json.dumps(record) for record in draw(st.lists(RECORDS, max_size=4))]
        body = ("\n".join(texts) if kind == LINES else f"[{','.join(texts)}]").encode()
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(body)))
        cut = draw(st.integers(0, 3))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + cut :]
    return body


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=mutated() | st.binary(max_size=300), content_type=st.sampled_from(TYPES))
def test_random_bodies(ingest: Ingest, body: bytes, content_type: str) -> None:
    """Random bodies, most of them nearly right, get 200 or 400."""
    assert ingest.send(body, content_type).status in (200, 400)
