"""A TCP server of a test that leaves no connection open."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.parts.limits import allowed

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_server(serve: Serve, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[asyncio.Server]:
    """Have `serve` answer each connection while the block runs. At its end, those that are open are aborted.

    A connection that outlives its event loop is a warning, and so a failure, in the test during which it is collected.
    """
    connections: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}
    is_ending = False

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.current_task()] = writer
        if is_ending:
            writer.transport.abort()
        else:
            await serve(reader, writer)

    server = await asyncio.start_server(begin, "127.0.0.1", port, ssl=tls)
    try:
        yield server
    finally:
        is_ending = True
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())  # no more are accepted
        all_closed = asyncio.create_task(server.wait_closed())
        # Python 3.11 waits only if that began before `close`, and leaves a connection open that came just before it.
        await asyncio.sleep(0)
        server.close()
        for task, writer in connections.items():
            assert task is not None
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*filter(None, connections), return_exceptions=True)
        async with asyncio.timeout(allowed(30)):  # also for those whose TLS handshake has not ended
            await all_closed


def port_of(server: asyncio.Server) -> int:
    """Return the port of a server."""
    port: int = server.sockets[0].getsockname()[1]
    return port
