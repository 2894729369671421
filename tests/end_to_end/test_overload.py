"""Too many, too slow and too large requests: abusive clients, and normal clients beside them."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from tests.end_to_end.raw_requests import (
    QUICK,
    RARELY,
    at_once,
    connect,
    connected,
    request,
    status_of,
    statuses,
    symbols,
)
from tests.parts.exchanges import Market
from tests.parts.limits import STRICT, allowed
from tests.parts.process import wait_for
from tests.parts.service import Answer, Service
from tests.parts.streams import rest

pytestmark = pytest.mark.real

# A fetch must still be under way when the last of many requests arrives.
SLOW_MS = 1500
MOST_FETCHES = 1 if STRICT else 4  # a busy machine reads a thousand requests for longer than one fetch takes
LORISES = 200
CUT = "price_api_connections_cut_total"


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with its default limits of requests, rare refreshes, and patience with slow exchanges."""
    shared_market.sound()
    folder = tmp_path_factory.mktemp("service")
    settings = {"symbols_file": symbols(folder), "exchange_timeout": 20, **RARELY}
    running = Service(folder, exchanges=shared_market.setting, **settings).filled()
    yield running
    assert running.process.stop() == 0, running.process.output
    assert "Traceback" not in running.process.output


def asked(service: Service) -> list[float]:
    """Return the number of calls that each exchange has received."""
    return [service.metric(f'price_exchange_requests_total{{exchange="exchange{one}"}}') for one in (1, 2, 3)]


async def test_slow_lorises_are_cut_off_and_bother_nobody(service: Service) -> None:
    """Two hundred connections that send one byte per second are cut, and other clients are served without a failure."""
    before = service.metric(f'{CUT}{{reason="slow"}}')
    lorises = await connected(service, LORISES)
    gone: list[bytes] = []

    async def crawl(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ending = asyncio.create_task(rest(reader, writer, allowed(30)))
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
    assert len(answers) >= 10
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
        async with asyncio.timeout(allowed(20)):
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
        async with asyncio.timeout(allowed(60)):
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
        exchange.faults(latency_ms=SLOW_MS)
    before = await asyncio.to_thread(asked, service)
    answers = await at_once(service, 1000, "GET /prices/nosuchusdt")
    assert statuses(answers) == {503: 1000}
    assert all(b"\r\nretry-after: 1\r\n" in answer for answer in answers)
    assert {answer.partition(b"\r\n\r\n")[2] for answer in answers} == {
        b'{"msg":"No price known now","code":"no_price"}'
    }
    calls = [now - then for now, then in zip(await asyncio.to_thread(asked, service), before, strict=True)]
    assert 1 <= min(calls) <= max(calls) <= MOST_FETCHES


async def test_a_thousand_refreshes_of_one_asset_are_one_fetch(service: Service, market: Market) -> None:
    """A thousand refreshes of one asset share one fetch; the next one is 429 and succeeds after Retry-After."""
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=SLOW_MS)
    before = await asyncio.to_thread(asked, service)
    answered = statuses(await at_once(service, 1000, "POST /refresh/ethusdt"))
    assert answered[200] + (0 if STRICT else answered[429]) == 1000, answered  # 429: after the fetch that is shared
    assert answered[200] >= 500
    calls = [now - then for now, then in zip(await asyncio.to_thread(asked, service), before, strict=True)]
    assert 1 <= min(calls) <= max(calls) <= MOST_FETCHES
    market.sound()
    wait_for(lambda: service.post("/refresh/btcusdt").status == 200, allowed(5))
    answers: list[Answer] = []

    def is_refused() -> bool:
        answers.append(service.post("/refresh/btcusdt"))
        return answers[-1].status == 429

    wait_for(is_refused, allowed(2), "a refusal")
    refused = answers[-1]
    assert refused.headers["retry-after"] == "1"
    assert refused.json == {
        "msg": "btcusdt has just been refreshed: once every 1 s is enough",
        "code": "refreshed_too_often",
    }
    wait_for(lambda: service.post("/refresh/btcusdt").status == 200, allowed(2))
