"""An exchange over HTTP: real mock exchanges with faults, and a raw socket for bytes that no exchange should send."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from aggregator.exchanges.http import HttpExchange, session
from aggregator.exchanges.venues.mock import Mock
from aggregator.models import LeftOut, Reason, Ticker
from aggregator.observability.metrics import Metrics
from tests.exchanges.calls import MANY, UNLISTED, fetch_each, raw_server, reason, value
from tests.parts.examples import BTC, ETH
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.ports import free_port

pytestmark = pytest.mark.real

# A ticker with three thousand nested lists in an unknown field: decoders refuse it, each with its own exception.
NESTED_BODY = b'{"x":' + b"[" * 3000 + b"]" * 3000 + b',"symbol":"btcusdt","price":1,"volume":1,"timestamp":1}'
NESTED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(NESTED_BODY) + NESTED_BODY


SECONDS = 0.5  # the timeout where a call must time out; elsewhere a busy machine has more


@pytest.fixture
async def impatient(market: Market, metrics: Metrics) -> AsyncIterator[HttpExchange]:
    """Return the client of the first mock exchange, with a short timeout."""
    async with session(SECONDS) as http:
        yield HttpExchange("exchange1", market.exchanges["exchange1"].url, Mock(), http, metrics, 4)


async def test_every_asset_asked_for_is_answered(exchange: HttpExchange, metrics: Metrics) -> None:
    """A listed asset has a ticker and another one a reason; one unknown symbol costs only itself."""
    started = time.time()
    answers = await fetch_each(exchange, [BTC, UNLISTED, ETH])
    assert list(answers) == ["btcusdt", "nosuchcoin", "ethusdt"]
    ticker = answers["btcusdt"]
    assert isinstance(ticker, Ticker)
    assert ticker.exchange == "exchange1"
    assert 10_000 < ticker.price < 100_000
    assert isinstance(answers["ethusdt"], Ticker)
    assert answers["nosuchcoin"] == LeftOut("exchange1", Reason.NOT_LISTED, "HTTP 404")
    assert value(metrics, "price_exchange_requests_total", exchange="exchange1") == 3
    assert value(metrics, "price_exchange_errors_total", exchange="exchange1", error_type="not_listed") == 1
    assert value(metrics, "price_exchange_request_duration_seconds_count", exchange="exchange1") == 2
    answered = value(metrics, "price_exchange_last_ticker_timestamp_seconds", exchange="exchange1")
    assert started <= answered <= time.time()
    newest = value(metrics, "price_exchange_newest_ticker_timestamp_seconds", exchange="exchange1")
    assert newest == exchange.newest_ticker


async def test_unknown_symbols_never_open_the_breaker(exchange: HttpExchange) -> None:
    """Unknown symbols are no failures; in an earlier system one of them stopped the whole exchange."""
    for _ in range(10):
        assert await reason(exchange, UNLISTED) is Reason.NOT_LISTED
    assert exchange.breaker_state == "closed"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"error_rate": 1}, Reason.HTTP_ERROR),
        ({"error_rate": 1, "status": 503}, Reason.HTTP_ERROR),
        ({"error_rate": 1, "status": 403}, Reason.HTTP_ERROR),
        ({"garbage_rate": 1}, Reason.UNDECODABLE),
        ({"drop_rate": 1}, Reason.UNREACHABLE),
        ({"hang_rate": 1}, Reason.TIMEOUT),
        ({"latency_ms": 5000}, Reason.TIMEOUT),
    ],
)
async def test_failures_open_the_breaker(
    market: Market,
    exchange: HttpExchange,
    impatient: HttpExchange,
    metrics: Metrics,
    fault: dict[str, float],
    expected: Reason,
) -> None:
    """Five failures with one reason open the breaker, and the sixth call is not sent."""
    exchange = impatient if expected is Reason.TIMEOUT else exchange
    market.exchanges["exchange1"].faults(**fault)
    answers = await fetch_each(exchange, MANY)
    assert {answer.reason for answer in answers.values() if isinstance(answer, LeftOut)} <= {
        expected,
        Reason.BREAKER_OPEN,
    }
    while exchange.breaker_state == "closed":
        assert await reason(exchange) is expected
    sent = value(metrics, "price_exchange_requests_total", exchange="exchange1")
    assert await reason(exchange) is Reason.BREAKER_OPEN
    assert value(metrics, "price_exchange_requests_total", exchange="exchange1") == sent
    assert value(metrics, "price_circuit_breaker_state", exchange="exchange1") == 1
    assert value(metrics, "price_exchange_errors_total", exchange="exchange1", error_type=expected.value) >= 5


@pytest.mark.parametrize(
    ("fault", "expected"),
    [({"rate_limit": 0}, Reason.RATE_LIMITED), ({"error_rate": 1, "status": 404}, Reason.NOT_LISTED)],
)
async def test_other_reasons_leave_the_breaker_closed(
    market: Market, exchange: HttpExchange, fault: dict[str, float], expected: Reason
) -> None:
    """A rate limit and unknown symbols are no failures of the exchange."""
    market.exchanges["exchange1"].faults(**fault)
    for _ in range(8):
        assert await reason(exchange) is expected
    assert exchange.breaker_state == "closed"


async def test_a_refused_connection_counts(http: aiohttp.ClientSession, metrics: Metrics) -> None:
    """Refused connections open the breaker."""
    exchange = HttpExchange("gone", f"http://127.0.0.1:{free_port()}", Mock(), http, metrics, 4)
    for _ in range(5):
        assert await reason(exchange) is Reason.UNREACHABLE
    assert exchange.breaker_state == "open"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", Reason.HTTP_ERROR),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Reason.HTTP_ERROR),
        (b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", Reason.RATE_LIMITED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", Reason.UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000, Reason.UNDECODABLE),
        (b"SMTP ready\r\n\r\n", Reason.UNREACHABLE),
        (NESTED, Reason.UNDECODABLE),
    ],
    ids=["redirect", "empty", "teapot", "half", "endless", "smtp", "nested"],
)
async def test_invalid_http_answers(
    http: aiohttp.ClientSession, metrics: Metrics, answer: bytes, expected: Reason
) -> None:
    """Redirects are not followed, bodies are bounded, and half an answer is an error."""
    async with raw_server(answer) as url:
        assert await reason(HttpExchange("odd", url, Mock(), http, metrics, 4)) is expected


async def test_connections_are_reused(market: Market, exchange: HttpExchange, http: aiohttp.ClientSession) -> None:
    """Twenty calls in a row take one connection."""
    opened = count_connections(http)
    for _ in range(20):
        await exchange.fetch([BTC])
    assert opened() == 1
    assert market.exchanges["exchange1"].process.child.poll() is None


async def test_no_more_calls_at_once_than_allowed(market: Market, exchange: HttpExchange) -> None:
    """Of twelve slow calls with four slots, four are under way."""
    market.exchanges["exchange1"].faults(latency_ms=100)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, 4 - exchange._slots._value)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*(exchange.fetch([BTC]) for _ in range(12)))
    watching.cancel()
    assert most == 4
    assert all(isinstance(answer["btcusdt"], Ticker) for answer in answers)


async def test_calls_do_not_queue_for_an_open_breaker(market: Market, impatient: HttpExchange) -> None:
    """With every slot in use and the breaker open, the answer comes at once."""
    exchange = impatient
    market.exchanges["exchange1"].faults(hang_rate=1)
    await fetch_each(exchange, MANY)
    assert await reason(exchange) in (Reason.TIMEOUT, Reason.BREAKER_OPEN)
    assert exchange.breaker_state == "open"
    hanging = [asyncio.create_task(exchange._slots.acquire()) for _ in range(4)]
    await asyncio.gather(*hanging)
    async with asyncio.timeout(allowed(5)):
        assert await reason(exchange) is Reason.BREAKER_OPEN
    for _ in hanging:
        exchange._slots.release()


def count_connections(http: aiohttp.ClientSession) -> Callable[[], int]:
    """Return how many connections the session makes from now on."""
    connector, made = http.connector, 0
    assert connector is not None
    create: Callable[..., Awaitable[object]] = connector._create_connection

    async def counting(*arguments: object) -> object:
        nonlocal made
        made += 1
        return await create(*arguments)

    connector._create_connection = counting  # type: ignore[assignment,method-assign]
    return lambda: made
