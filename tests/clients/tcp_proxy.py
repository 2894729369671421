"""A TCP proxy whose connections can be cut or silenced, for clients that must survive both."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class TcpProxy:
    """Forwards connections to the port of a URL. It runs in a thread of its own."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._silent: list[asyncio.Event] = []
        self.connections = 0
        self.url = ""

    def cut(self) -> None:
        """Cut all connections."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    def silence(self) -> None:
        """Pass no more bytes of the present connections on; later ones work."""
        self._loop.call_soon_threadsafe(self._silence)

    @contextmanager
    def running(self) -> Iterator["TcpProxy"]:
        """Run the proxy in a thread while the block runs."""
        started = threading.Event()
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(started),))
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()
            self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._passes.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        started.set()
        await self._stop.wait()
        server.close()
        await self._cut()

    def _silence(self) -> None:
        self._passes.clear()
        self._silent.append(self._passes)
        self._passes = asyncio.Event()
        self._passes.set()

    async def _cut(self) -> None:
        for passes in self._silent:
            passes.set()
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0.01)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, back}
        passes = self._passes
        await asyncio.gather(self._forward(reader, back, passes), self._forward(there, writer, passes))
        self._writers -= {writer, back}

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: asyncio.Event) -> None:
        with suppress(ConnectionError):
            while part := await reader.read(65536):
                await passes.wait()
                writer.write(part)
                await writer.drain()
        writer.close()
