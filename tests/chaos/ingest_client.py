"""A client of POST /ingest that sends bodies of any kind, and good trades to send."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import urlsplit

import psutil

from tests.parts.limits import allowed
from tests.parts.service import Service

ANSWER_SECONDS = allowed(40.0)  # the service waits 30 s for the rest of a body
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
