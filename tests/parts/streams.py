"""Raw connections, for what no HTTP client would do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


async def rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float = 60) -> bytes:
    """Return what comes until the server ends the connection, well or not; fail after `seconds`."""
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while part := await reader.read(65536):
                received += part
    except ConnectionError:
        pass  # reset: what came before it is the answer
    writer.close()
    return bytes(received)


@asynccontextmanager
async def hanging_up(port: int) -> AsyncIterator[asyncio.Event]:
    """Listen on `port` and hang up on everybody; the event is set once somebody has come."""
    came = asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", port):
        yield came
