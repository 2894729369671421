"""Raw connections, for behaviour that no HTTP client offers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.parts.tcp_server import tcp_server


async def rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float = 60) -> bytes:
    """Return all bytes until the server ends the connection, by a close or a reset; fail after `seconds`."""
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while part := await reader.read(65536):
                received += part
    except ConnectionError:
        pass  # a reset: the bytes before it are the result
    writer.close()
    return bytes(received)


@asynccontextmanager
async def hanging_up(port: int) -> AsyncIterator[asyncio.Event]:
    """Accept connections on `port` and close each at once; the event is set at the first connection."""
    came = asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        writer.close()

    async with tcp_server(hang_up, port):
        yield came
