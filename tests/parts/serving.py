"""Our HTTP server in this process, on its own port."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aggregator.api.server.server import Server, listening
from tests.parts.limits import allowed


@asynccontextmanager
async def serving(server: Server, *, send_buffer: int = 0) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port. `send_buffer`: the system's, in bytes of a connection; 0: usual."""
    with listening("127.0.0.1", 0) as listener:
        if send_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([listener]))
            await until(lambda: server.started)
            yield listener.getsockname()[1]
            server.should_exit = True


async def until(condition: Callable[[], bool]) -> None:
    """Poll until a condition holds, for at most 40 s; for conditions that no event announces."""
    async with asyncio.timeout(allowed(40)):
        while not condition():
            await asyncio.sleep(0.01)
