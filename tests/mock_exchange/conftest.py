"""A mock exchange as a real process on a free port of 127.0.0.1; it ends with the tests of its module."""

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp
import pytest

from mock_exchange.market import Market
from mock_exchange.symbols import open_market
from tests.mock_exchange.subscriber import ONE, TWO, Subscriber, connected
from tests.parts import forks
from tests.parts.forks import Fork
from tests.parts.limits import allowed

ROOT = Path(__file__).parents[2]
DEADLINE = allowed(10.0)  # seconds; ten times what any call here takes
PUSH_MS = 50

Start = Callable[..., "Process"]


@dataclass(frozen=True, slots=True)
class Process:
    """A running mock exchange; `url` is empty if it did not listen."""

    child: subprocess.Popen[str] | Fork
    stdout: IO[str]
    stderr: IO[str]
    line: str

    @property
    def url(self) -> str:
        """The address that it listens on."""
        return self.line.rpartition(" ")[2].strip()

    def ended(self) -> tuple[int, str, str]:
        """Wait until it has ended; return the exit code, the rest of stdout, and stderr."""
        return self.child.wait(DEADLINE), self.stdout.read(), self.stderr.read()


@dataclass(frozen=True, slots=True)
class Client:
    """An HTTP client for one exchange."""

    session: aiohttp.ClientSession
    url: str

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Make a call; return the status, the decoded JSON and the response."""
        async with self.session.request(method, self.url + path, **options) as response:
            return response.status, await response.json(content_type="application/json"), response

    async def get(self, path: str) -> tuple[int, Any]:
        """Make a GET call; return the status and the decoded JSON."""
        status, body, _ = await self.call("GET", path)
        return status, body

    async def faults(self, **faults: object) -> dict[str, Any]:
        """Replace the active faults; return those active now."""
        status, body, _ = await self.call("PUT", "/mock/faults", json=faults)
        assert status == 200
        assert isinstance(body, dict)
        return body


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Return a function that starts an exchange and waits for its first line; end all of them afterwards."""
    with contextlib.ExitStack() as started:

        def run(*arguments: str) -> Process:
            options = ["--name", "exchange1", *([] if "--port" in arguments else ["--port", "0"]), *arguments]
            (reading, stdout), (complaints, stderr) = os.pipe(), os.pipe()
            try:
                request = forks.Start("mock_exchange", options, dict(os.environ), str(ROOT))
                child = forks.started(request, stdout, stderr)
            finally:
                os.close(stdout)
                os.close(stderr)
            said, complained = (started.enter_context(os.fdopen(one)) for one in (reading, complaints))
            started.callback(child.kill)
            return Process(child, said, complained, said.readline())

        yield run


@pytest.fixture(scope="module")
def exchange(start: Start) -> Process:
    """Run one exchange for all tests of a module."""
    return start("--seed", "7", "--push-ms", str(PUSH_MS))


@pytest.fixture
async def client(exchange: Process) -> AsyncIterator[Client]:
    """Return a client of the shared exchange, without faults before and after the test."""
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        client = Client(session, exchange.url)
        await client.faults()
        yield client
        await client.faults()


@pytest.fixture
async def subscriber(client: Client) -> AsyncIterator[Subscriber]:
    """Return a subscriber of two symbols of the shared exchange that has had their first tickers."""
    async with connected(client.session, client.url) as subscriber:
        await subscriber.send("subscribe", ONE, TWO)
        for symbol in (ONE, TWO):
            await subscriber.tickers_of(symbol, 1)
        yield subscriber


@pytest.fixture(scope="session")
def market() -> Market:
    """Return the market that the shared exchange quotes."""
    return open_market(7, ROOT / "symbols.csv")
