"""Too many, too slow and too large requests: abusive clients, and normal clients beside them."""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM
from urllib.parse import urlsplit

import psutil
import pytest

from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service
from tests.parts.streams import rest

pytestmark = pytest.mark.real

RARELY = {"hot_size": 1, "medium_size": 0, "hot_interval": 600, "medium_interval": 600, "cold_interval": 600}
QUICK = "GET /prices/btcusdt"
LORISES = 200
CUT = "price_api_connections_cut_total"


def symbols(folder: Path) -> Path:
    """Write a symbols file: two assets that all exchanges list, and one that none lists."""
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\nnosuchusdt\n")
    return folder / "symbols.csv"


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with its default limits and rare refreshes."""
    shared_market.sound()
    folder = tmp_path_factory.mktemp("service")
    settings = {"symbols_file": symbols(folder), **RARELY}
    running = Service(folder, exchanges=shared_market.setting, **settings).filled()
    yield running
    assert running.process.stop() == 0, running.process.output
    assert "Traceback" not in running.process.output


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


def asked(service: Service) -> list[float]:
    """Return the number of calls that each exchange has received."""
    return [service.metric(f'price_exchange_requests_total{{exchange="exchange{one}"}}') for one in (1, 2, 3)]


async def test_slow_lorises_are_cut_off_and_bother_nobody(service: Service) -> None:
    """Two hundred connections that send one byte per second are cut, and other clients are served without a failure."""
    before = service.metric(f'{CUT}{{reason="slow"}}')
    lorises = await connected(service, LORISES)
    gone: list[bytes] = []

    async def crawl(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ending = asyncio.create_task(rest(reader, writer, 30))
        for byte in request(QUICK + "?" + "x" * 100):
            if ending.done():
                break
            writer.write(bytes([byte]))
            await asyncio.wait([ending], timeout=1)
        gone.append(await ending)

    answers: list[bytes] = []
    async with asyncio.TaskGroup() as group:
        for loris in lorises:
            group.create_task(crawl(*loris))
        while len(gone) < LORISES:
            answers += await at_once(service, 10, QUICK)
            await asyncio.sleep(0.1)
    assert len(answers) > 100
    assert statuses(answers) == {200: len(answers)}
    assert {answer.split(b"\r\n")[0] for answer in gone} == {b"HTTP/1.1 408 Request Timeout"}
    assert await asyncio.to_thread(service.metric, f'{CUT}{{reason="slow"}}') == before + LORISES


async def test_a_megabyte_of_headers(service: Service) -> None:
    """A megabyte of headers is 431, and memory does not grow by it."""
    for filler in (b"X: " + b"x" * 1_000_000, b"a: b\r\n" * 170_000):
        client = await connect(service)
        client[1].write(b"GET /prices/btcusdt HTTP/1.1\r\nHost: localhost\r\n" + filler)
        answer = await rest(*client)
        assert status_of(answer) == 431
        assert answer.endswith(b'{"msg":"The head is larger than 65536 bytes","code":"head_too_large"}')


async def test_an_endless_body(service: Service) -> None:
    """An endless body ends the connection after one response at most, and none of the body is kept."""
    memory = psutil.Process(service.process.child.pid).memory_info().rss
    for line in ("GET /prices/btcusdt", "POST /refresh/nosuchusdt"):
        reader, writer = await connect(service)
        writer.write(f"{line} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                await _send_chunks(writer)
        assert (await rest(reader, writer)).count(b"HTTP/1.1 ") <= 1
    assert psutil.Process(service.process.child.pid).memory_info().rss < memory + 20_000_000


async def _send_chunks(writer: asyncio.StreamWriter) -> None:
    """Send chunks until the connection ends."""
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def test_who_connects_and_says_nothing(service: Service) -> None:
    """A connection without a request is closed without a response."""
    silent = await connected(service, 100)
    assert {await rest(*client) for client in silent} == {b""}
    process = psutil.Process(service.process.child.pid)
    wait_for(lambda: len([one for one in process.net_connections() if one.status == "CLOSE_WAIT"]) == 0)


async def test_who_does_not_read_is_cut_off(service: Service) -> None:
    """Ten connections that send requests and never read are cut, their memory is freed, other clients are served."""
    process = psutil.Process(service.process.child.pid)
    memory = process.memory_info().rss
    port = urlsplit(service.url).port
    deaf = []
    for _ in range(10):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.connect(("127.0.0.1", port))
        one.setblocking(False)  # noqa: FBT003  # the socket's own parameter
        deaf.append(one)
    try:
        before = await asyncio.to_thread(service.metric, f'{CUT}{{reason="unread"}}')
        asking, sent = request("GET /metrics", last=False) * 500, Counter[int]()
        async with asyncio.timeout(60):
            while await asyncio.to_thread(service.metric, f'{CUT}{{reason="unread"}}') < before + 10:
                for number, one in enumerate(deaf):
                    _send_on(one, asking, number, sent)
                assert statuses(await at_once(service, 5, QUICK)) == {200: 5}
                await asyncio.sleep(0.5)
    finally:
        for one in deaf:
            one.close()
    assert process.memory_info().rss < memory + 100_000_000


def _send_on(one: socket.socket, asking: bytes, number: int, sent: Counter[int]) -> None:
    """Send as much of the request stream as fits, from where the last call stopped."""
    try:
        sent[number] += one.send(asking[sent[number] :])
    except OSError:
        return


async def test_a_thousand_reads_of_what_nobody_has_are_one_fetch(service: Service, market: Market) -> None:
    """A thousand reads of an asset without a price call each exchange once; all get 503 with Retry-After."""
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=700)
    before = await asyncio.to_thread(asked, service)
    answers = await at_once(service, 1000, "GET /prices/nosuchusdt")
    assert statuses(answers) == {503: 1000}
    assert all(b"\r\nretry-after: 1\r\n" in answer for answer in answers)
    assert {answer.partition(b"\r\n\r\n")[2] for answer in answers} == {
        b'{"msg":"No price known now","code":"no_price"}'
    }
    assert await asyncio.to_thread(asked, service) == [calls + 1 for calls in before]


async def test_a_thousand_refreshes_of_one_asset_are_one_fetch(service: Service, market: Market) -> None:
    """A thousand refreshes of one asset share one fetch; the next one is 429 and succeeds after Retry-After."""
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=700)
    before = await asyncio.to_thread(asked, service)
    assert statuses(await at_once(service, 1000, "POST /refresh/ethusdt")) == {200: 1000}
    assert await asyncio.to_thread(asked, service) == [calls + 1 for calls in before]
    market.sound()
    wait_for(lambda: service.post("/refresh/btcusdt").status == 200, allowed(5))
    refused = service.post("/refresh/btcusdt")
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json == {
        "msg": "btcusdt has just been refreshed: once every 1 s is enough",
        "code": "refreshed_too_often",
    }
    wait_for(lambda: service.post("/refresh/btcusdt").status == 200, allowed(2))


async def test_a_burst_beyond_the_bound(tmp_path: Path, market: Market) -> None:
    """A burst beyond the concurrency limit is served or refused at once; cached prices and operator routes work."""
    settings = {"symbols_file": symbols(tmp_path), "max_in_flight": 50, **RARELY}
    service = Service(tmp_path, exchanges=market.setting, **settings).filled()
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=1500)
    clients = await connected(service, 600)
    for _, writer in clients:
        writer.write(request("POST /refresh/ethusdt"))
    answering = [asyncio.create_task(rest(*client)) for client in clients]
    async with asyncio.timeout(10):
        while sum(one.done() for one in answering) < 550:
            await asyncio.sleep(0.01)
    for path in ("/health", "/ready", "/metrics", "/prices/btcusdt"):
        assert (await asyncio.to_thread(service.get, path)).status == 200, path
    assert await asyncio.to_thread(service.metric, "price_api_requests_in_flight") == 51  # and this one
    answers = list(await asyncio.gather(*answering))
    assert statuses(answers) == {200: 50, 503: 550}
    refused = [answer for answer in answers if status_of(answer) == 503]
    assert all(b"\r\nretry-after: 1\r\n" in answer for answer in refused)
    assert service.metric('price_api_requests_total{endpoint="/refresh",status="503"}') == 550
    assert service.metric("price_api_requests_in_flight") == 1
    assert service.process.stop() == 0, service.process.output


async def test_sigterm_with_hundreds_of_requests_in_flight(tmp_path: Path, market: Market) -> None:
    """After SIGTERM no request fails: those under way, those on open connections, until a response says `close`."""
    service = Service(tmp_path, exchanges=market.setting, symbols_file=symbols(tmp_path), **RARELY).filled()
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=1000)
    waiting, busy, idle = await connected(service, 500), await connected(service, 50), await connected(service, 50)
    for _, writer in idle:
        writer.write(request(QUICK, last=False))
    for reader, _ in idle:
        await reader.readuntil(b"}")
    for _, writer in waiting:
        writer.write(request("POST /refresh/ethusdt", last=False))
    wait_for(lambda: service.metric("price_api_requests_in_flight") == 501)
    fresh: list[bytes] = []
    refused = asyncio.Event()

    async def keep_coming() -> None:
        while not refused.is_set():
            try:
                client = await connect(service)
            except (ConnectionRefusedError, ConnectionResetError):  # a reset during connect: nothing was sent
                refused.set()
                return
            client[1].write(request(QUICK))
            fresh.append(await rest(*client))

    async with asyncio.TaskGroup() as group:
        going_on = [group.create_task(_ask_on(*client)) for client in busy]
        for _ in range(20):
            group.create_task(keep_coming())
        async with asyncio.timeout(20):  # until requests are under way
            while not fresh:
                await asyncio.sleep(0.01)
        service.process.signal(SIGTERM)
        answers = await asyncio.gather(*(rest(*client) for client in waiting))
    assert statuses(list(answers)) == {200: 500}
    assert statuses(fresh) == {200: len(fresh)}
    assert [one.result() for one in going_on] == ["told so"] * 50
    assert {await rest(*client) for client in idle} == {b""}
    assert await asyncio.to_thread(service.process.ended) == 0, service.process.output


async def _ask_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Send requests until a response says that it is the last; return how the connection ended."""
    while True:
        try:
            writer.write(request(QUICK, last=False))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"}")
        except (ConnectionError, asyncio.IncompleteReadError):
            return "cut off"
        if b"connection: close" in head:
            writer.close()
            return "told so"
