"""A broker that wants a login: TLS and SASL in front of librdkafka's mock cluster, which has neither."""

import asyncio
import base64
import hashlib
import hmac
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qsl, quote, urlsplit

from tests.parts.kafka_mock import MockCluster
from tests.parts.sasl import Conversation, Refused
from tests.parts.tcp_server import port_of, tcp_server

_API_VERSIONS, _HANDSHAKE, _AUTHENTICATE = 18, 17, 36
_REFUSED, _UNKNOWN_MECHANISM = 58, 33  # SASL_AUTHENTICATION_FAILED, UNSUPPORTED_SASL_MECHANISM
_SASL_APIS = ((_HANDSHAKE, 0, 1), (_AUTHENTICATE, 0, 1))

Mechanisms = Mapping[str, Callable[[], Conversation]]
"""The functions that begin a login, by the name of its mechanism."""


def is_signed(token: str, secret: str) -> bool:
    """Whether a token of MSK is a URL that was signed by SigV4 with this secret key, for `kafka-cluster:Connect`."""
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    query = dict(parse_qsl(url.query, strict_parsing=True))
    signature, _ = query.pop("X-Amz-Signature"), query.pop("User-Agent")
    _, day, region, service, end = query["X-Amz-Credential"].split("/")
    assert (query["Action"], service, url.netloc) == (
        "kafka-cluster:Connect",
        "kafka-cluster",
        f"kafka.{region}.amazonaws.com",
    )
    said = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
    asked = f"GET\n/\n{said}\nhost:{url.netloc}\n\nhost\n{hashlib.sha256().hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, end):
        key = hmac.digest(key, part.encode(), "sha256")
    scope = f"{day}/{region}/{service}/{end}"
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    return hmac.compare_digest(hmac.new(key, text.encode(), "sha256").hexdigest(), signature)


class _Connection:
    """One client: signs it in, and passes its other requests on."""

    def __init__(self, mechanisms: Mechanisms, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._mechanisms, self._reader, self._writer = mechanisms, reader, writer
        self._versions: dict[int, int] = {}  # correlation id -> version, of requests for ApiVersions
        self._login: Conversation | None = None
        self._is_signed_in = False

    async def serve(self, host: str, port: int) -> None:
        """Serve until the client goes."""
        try:
            behind, to_broker = await asyncio.open_connection(host, port)
            back = asyncio.create_task(self._answers(behind))
            try:
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    while True:
                        await self._request(await _frame(self._reader), to_broker)
            finally:
                back.cancel()
                await _closed(to_broker)
        finally:
            await _closed(self._writer)

    async def _request(self, frame: bytes, to_broker: asyncio.StreamWriter) -> None:
        api, version, number, named = struct.unpack_from(">hhih", frame)
        body = frame[10 + max(named, 0) :]
        if api == _HANDSHAKE:
            self._answer(number, self._handshake(body[2:].decode()))
        elif api == _AUTHENTICATE:
            self._answer(number, self._authenticate(body[4:]) + (struct.pack(">q", 0) if version else b""))
        elif api == _API_VERSIONS or self._is_signed_in:
            if api == _API_VERSIONS:
                self._versions[number] = version
            to_broker.write(struct.pack(">i", len(frame)) + frame)
            await to_broker.drain()
        else:
            raise ConnectionError("not signed in")

    def _handshake(self, mechanism: str) -> bytes:
        begin = self._mechanisms.get(mechanism)
        self._login = begin() if begin else None
        names = b"".join(struct.pack(">h", len(one)) + one.encode() for one in self._mechanisms)
        return struct.pack(">hi", 0 if begin else _UNKNOWN_MECHANISM, len(self._mechanisms)) + names

    def _authenticate(self, message: bytes) -> bytes:
        if self._login is None:
            raise ConnectionError("no mechanism was agreed on")
        try:
            answer, self._is_signed_in = self._login.answer(message)
        except Refused:
            return struct.pack(">hhi", _REFUSED, -1, 0)
        return struct.pack(">hhi", 0, -1, len(answer)) + answer

    async def _answers(self, behind: asyncio.StreamReader) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(behind)
                number = int.from_bytes(frame[:4], "big")
                version = self._versions.pop(number, None)
                self._answer(number, frame[4:] if version is None else _with_sasl(frame[4:], version))
                await self._writer.drain()

    def _answer(self, number: int, body: bytes) -> None:
        self._writer.write(struct.pack(">ii", len(body) + 4, number) + body)


def _with_sasl(body: bytes, version: int) -> bytes:
    """Add the calls of a login to an answer of ApiVersions."""
    if body[:2] != b"\0\0":  # the broker refuses the version, and names others
        return body
    if version >= 3:  # a compact array, whose length is a byte as long as there are fewer than 127
        added = b"".join(struct.pack(">hhhB", *one, 0) for one in _SASL_APIS)
        return body[:2] + bytes([body[2] + len(_SASL_APIS)]) + added + body[3:]
    added = b"".join(struct.pack(">hhh", *one) for one in _SASL_APIS)
    return body[:2] + struct.pack(">i", struct.unpack(">i", body[2:6])[0] + len(_SASL_APIS)) + added + body[6:]


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


@asynccontextmanager
async def broker_with_login(context: ssl.SSLContext | None, mechanisms: Mechanisms) -> AsyncIterator[str]:
    """Run a broker with the topic `trades` that wants one of these logins; yields its address. No context: no TLS."""
    cluster = MockCluster()
    cluster.create("trades", 2)
    host, _, port = cluster.address.partition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Connection(mechanisms, reader, writer).serve(host, int(port))

    async with tcp_server(serve, tls=context) as server:
        cluster.advertise(port_of(server))
        yield f"127.0.0.1:{port_of(server)}"
    await asyncio.to_thread(cluster.close)
