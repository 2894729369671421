"""Three mock exchanges as child processes, for `aggregator demo`: everything real but the market."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from aggregator.errors import CannotGoOn

NAMES = ("exchange1", "exchange2", "exchange3")

_START_SECONDS = 20.0
_STOP_SECONDS = 1.0

log = structlog.get_logger()


class DemoError(CannotGoOn):
    """A mock exchange did not start; the message is its own."""


@asynccontextmanager
async def mock_exchanges(symbols: Path, first_port: int) -> AsyncIterator[str]:
    """Run the three exchanges on `first_port` and the next two (0: any free ones); yield the setting EXCHANGES."""
    ports = [first_port + number if first_port else 0 for number in range(len(NAMES))]
    async with AsyncExitStack() as stack:
        targets = []
        for name, port in zip(NAMES, ports, strict=True):
            address = await stack.enter_async_context(_mock_exchange(name, port, symbols))
            targets.append(f"{name}=mock+{address}")
        yield ",".join(targets)


@asynccontextmanager
async def _mock_exchange(name: str, port: int, symbols: Path) -> AsyncIterator[str]:
    """Run one; yield its address. It ends with our end of its stdin, so that it cannot outlive us."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mock_exchange", "--name", name, "--port", str(port), "--symbols", str(symbols)),
        "--exit-with-stdin",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: we stop asking first, then end them
    )
    try:
        yield await _address(name, process)
    finally:
        await _end(process)


async def _address(name: str, process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None  # noqa: S101  # asked for above
    assert process.stderr is not None  # noqa: S101  # likewise
    try:
        async with asyncio.timeout(_START_SECONDS):
            said = (await process.stdout.readline()).decode()
    except TimeoutError as error:
        raise DemoError(f"{name} did not start within {_START_SECONDS:g} s") from error
    match = re.search(r"http://\S+", said)
    if match is None:
        complaint = (await process.stderr.read()).decode().strip().rpartition("\n")[2].partition(";")[0]
        mend = "choose other ports with --mock-port (0 for any free ones)" if "listen" in complaint else "see above"
        raise DemoError(f"{name} did not start: {complaint or 'it said nothing'}; {mend}")
    log.info("mock_exchange", name=name, address=match[0])
    return match[0]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
