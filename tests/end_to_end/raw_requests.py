"""Many raw connections to a service that has two listed assets and refreshes them rarely."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from tests.parts.service import Service
from tests.parts.streams import rest

RARELY = {"hot_size": 1, "medium_size": 0, "hot_interval": 600, "medium_interval": 600, "cold_interval": 600}
QUICK = "GET /prices/btcusdt"


def symbols(folder: Path) -> Path:
    """Write a symbols file: two assets that all exchanges list, and one that none lists."""
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\nnosuchusdt\n")
    return folder / "symbols.csv"


def request(line: str, *, last: bool = True) -> bytes:
    """Return a request without a body; after the `last` one the server closes the connection."""
    return f"{line} HTTP/1.1\r\nHost: localhost\r\n{'Connection: close' if last else 'X: x'}\r\n\r\n".encode()


async def connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection."""
    return await asyncio.open_connection("127.0.0.1", urlsplit(service.url).port)


async def connected(service: Service, number: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open this many connections."""
    return [await connect(service) for _ in range(number)]


async def at_once(service: Service, number: int, line: str) -> list[bytes]:
    """Send the same request on all connections at once; return the complete responses."""
    clients = await connected(service, number)
    for _, writer in clients:
        writer.write(request(line))
    return list(await asyncio.gather(*(rest(*client) for client in clients)))


def statuses(answers: list[bytes]) -> Counter[int]:
    """Count the responses by status; 0 stands for no response or an incomplete one."""
    return Counter(status_of(answer) for answer in answers)


def status_of(answer: bytes) -> int:
    """Return the status of a complete response, else 0."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    return int(head.split(b" ")[1]) if length and int(length[1]) == len(body) else 0
