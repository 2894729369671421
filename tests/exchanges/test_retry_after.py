"""A venue that asks for a cool-down gets it, and its breaker is not affected."""

import asyncio

import aiohttp
import pytest

from aggregator.errors import RateLimited
from aggregator.exchanges.dialect import Bucket, Dialect
from aggregator.exchanges.http import HttpExchange
from aggregator.exchanges.retry_after import FIRST_OWN, LONGEST, LONGEST_OWN, SHORTEST, Cooldown, retry_after
from aggregator.exchanges.venues.kraken import Kraken
from aggregator.exchanges.venues.mock import Mock
from aggregator.models import LeftOut, Reason, Ticker
from aggregator.observability.metrics import Metrics
from tests.exchanges.calls import raw_server, value
from tests.exchanges.venues.base import running
from tests.exchanges.venues.servers import SERVERS
from tests.parts.clock import Clock
from tests.parts.examples import BTC, NOW
from tests.parts.exchanges import Market

TICKER = b'{"symbol":"btcusdt","price":1,"volume":1,"timestamp":1}'


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("12", "", 12),
        (" 12 ", "", 12),
        ("0", "", 0),
        ("1.5", "", 1.5),
        ("9" * 500, "", float("inf")),
        ("Thu, 09 Oct 2025 08:53:32 GMT", "", 12),
        ("Thu, 09 Oct 2025 08:53:32 GMT", "Thu, 09 Oct 2025 08:52:32 GMT", 60),
        ("Thu, 09 Oct 2025 08:53:32 GMT", "yesterday", 12),
        ("Thursday, 09-Oct-25 08:53:32 GMT", "", 12),
        ("Thu Oct  9 08:53:32 2025", "", 12),
        ("Thu, 09 Oct 2025 08:53:00 GMT", "", 0),
        ("", "", None),
        ("soon", "", None),
        ("-1", "", None),
        ("\u0661\u0662", "", None),
        ("Thu, 99 Oct 2025 08:53:32 GMT", "", None),
    ],
)
def test_what_retry_after_says(header: str, date: str, seconds: float | None) -> None:
    """Seconds, or a date in any of HTTP's three forms, by the sender's clock if it tells it, else by ours."""
    assert retry_after(header, date, NOW) == seconds  # NOW is 08:53:20


@pytest.mark.parametrize(("asked", "kept"), [(0, SHORTEST), (12, 12), (1e9, LONGEST), (float("inf"), LONGEST)])
def test_what_is_asked_for_is_kept_within_bounds(asked: float, kept: float) -> None:
    """A cool-down is neither too short nor endless."""
    cooldown = Cooldown(Clock())
    assert cooldown.begin(asked)
    assert cooldown.seconds == kept


def test_our_own_pauses_double() -> None:
    """Up to a minute with each refusal after a pause; an answer resets them."""
    clock = Clock()
    cooldown = Cooldown(clock)
    pauses = []
    for _ in range(9):
        assert cooldown.begin(None)
        assert not cooldown.begin(None)  # the refusals of calls under way together are one
        cooldown.answered()  # and the answers to some of them change nothing
        pauses.append(cooldown.seconds)
        clock.now += cooldown.seconds
    assert pauses == [FIRST_OWN, 2, 4, 8, 16, 32, LONGEST_OWN, LONGEST_OWN, LONGEST_OWN]
    cooldown.answered()
    cooldown.begin(None)
    assert cooldown.seconds == FIRST_OWN


def test_the_longest_cooldown_counts() -> None:
    """Of several answers the longest cool-down counts, and the error tells how long it will be."""
    clock = Clock()
    cooldown = Cooldown(clock)
    cooldown.check()
    assert cooldown.begin(20)
    assert not cooldown.begin(5)
    clock.now += 8.5
    with pytest.raises(RateLimited, match=r"^quiet for another 12 s$"):
        cooldown.check()
    clock.now += 11.5
    cooldown.check()
    assert cooldown.seconds == 0


def exchange_at(
    url: str, http: aiohttp.ClientSession, metrics: Metrics, clock: Clock, dialect: Dialect | None = None
) -> HttpExchange:
    """Return an exchange with a clock that the test moves."""
    return HttpExchange("exchange1", url, dialect or Mock(), http, metrics, 4, clock=clock, now=lambda: NOW)


def sent(metrics: Metrics) -> float:
    """Return how many calls were made."""
    return value(metrics, "price_exchange_requests_total", exchange="exchange1")


@pytest.mark.real
async def test_a_listing_is_not_asked_for_in_a_cooldown_that_began_meanwhile(
    http: aiohttp.ClientSession, metrics: Metrics
) -> None:
    """A call for the listing waits for its token; the answer to the call before it begins a cool-down."""
    async with running(SERVERS["kraken"](now=lambda: NOW)) as venue:
        venue.fault = venue.too_often
        dialect = Kraken()
        dialect.rate_limit = Bucket(4, 1)
        exchange = HttpExchange("kraken", venue.url, dialect, http, metrics, 4)
        _, error = await asyncio.gather(exchange.fetch([BTC]), exchange.read_listing())
        assert isinstance(error, RateLimited)
        assert len(venue.asked) == 1


@pytest.mark.real
async def test_after_429_it_is_not_asked_until_the_time_is_up(
    market: Market, http: aiohttp.ClientSession, metrics: Metrics
) -> None:
    """During the cool-down of one second no call is made and the breaker stays closed; then calls go on."""
    clock = Clock()
    exchange = exchange_at(market.exchanges["exchange1"].url, http, metrics, clock)
    market.exchanges["exchange1"].faults(rate_limit=0)
    assert await exchange.fetch([BTC]) == {"btcusdt": LeftOut("exchange1", Reason.RATE_LIMITED, "HTTP 429")}
    market.sound()
    for _ in range(20):
        answer = (await exchange.fetch([BTC]))["btcusdt"]
        assert answer == LeftOut("exchange1", Reason.RATE_LIMITED, "quiet for another 1 s")
    assert sent(metrics) == 1
    assert (exchange.breaker_state, exchange.quiet_seconds) == ("closed", 1)
    assert value(metrics, "price_exchange_quiet_seconds", exchange="exchange1") == 1
    clock.now += 1
    assert isinstance((await exchange.fetch([BTC]))["btcusdt"], Ticker)
    assert exchange.quiet_seconds == 0
    assert value(metrics, "price_exchange_quiet_seconds", exchange="exchange1") == 0


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    """Return the bytes of an HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.real
@pytest.mark.parametrize(
    ("raw", "reason", "seconds"),
    [
        (answer("429 Too Many Requests"), Reason.RATE_LIMITED, FIRST_OWN),
        (answer("418 Banned", "Retry-After: 120"), Reason.RATE_LIMITED, 120),
        (answer("429 Too Many Requests", "Retry-After: soon"), Reason.RATE_LIMITED, FIRST_OWN),
        (answer("503 Service Unavailable", "Retry-After: 30"), Reason.HTTP_ERROR, 30),
        (
            answer(
                "503 Service Unavailable",
                "Date: Sun, 06 Nov 1994 08:49:37 GMT",
                "Retry-After: Sun, 06 Nov 1994 08:50:00 GMT",
            ),
            Reason.HTTP_ERROR,
            23,
        ),
        (answer("503 Service Unavailable"), Reason.HTTP_ERROR, 0),
        (answer("404 Not Found"), Reason.NOT_LISTED, 0),
    ],
    ids=["429", "418", "unreadable", "503", "date", "503 that says nothing", "404"],
)
async def test_which_answers_begin_a_cooldown(
    http: aiohttp.ClientSession, metrics: Metrics, raw: bytes, reason: Reason, seconds: float
) -> None:
    """Answers that ask for a cool-down, with any status, and statuses for too many calls."""
    async with raw_server(raw) as url:
        exchange = exchange_at(url, http, metrics, Clock())
        found = (await exchange.fetch([BTC]))["btcusdt"]
    assert isinstance(found, LeftOut)
    assert (found.reason, exchange.quiet_seconds) == (reason, seconds)


@pytest.mark.real
async def test_a_ticker_with_retry_after_is_used(http: aiohttp.ClientSession, metrics: Metrics) -> None:
    """A 200 with Retry-After has a ticker all the same."""
    async with raw_server(answer("200 OK", "Retry-After: 7", body=TICKER)) as url:
        exchange = exchange_at(url, http, metrics, Clock())
        assert isinstance((await exchange.fetch([BTC]))["btcusdt"], Ticker)
    assert exchange.quiet_seconds == 7


@pytest.mark.real
async def test_a_refusal_within_a_200_counts_too(http: aiohttp.ClientSession, metrics: Metrics) -> None:
    """An error in the body begins a cool-down too, as with Kraken."""
    body = b'{"error":["EAPI:Rate limit exceeded"]}'
    async with raw_server(answer("200 OK", body=body)) as url:
        exchange = exchange_at(url, http, metrics, Clock(), Kraken())
        found = (await exchange.fetch([BTC]))["btcusdt"]
    assert isinstance(found, LeftOut)
    assert (found.reason, exchange.quiet_seconds) == (Reason.RATE_LIMITED, FIRST_OWN)


@pytest.mark.real
async def test_cooldown_and_breaker_are_independent(http: aiohttp.ClientSession, metrics: Metrics) -> None:
    """A 503 counts for the breaker with or without a cool-down; calls not made are neither failures nor probes."""
    clock = Clock()
    async with raw_server(answer("503 Service Unavailable", "Retry-After: 40")) as url:
        exchange = exchange_at(url, http, metrics, clock)
        for _ in range(5):
            assert exchange.breaker_state == "closed"
            for _ in range(10):  # one call, nine refused
                await exchange.fetch([BTC])
            clock.now += 40
        assert exchange.breaker_state == "open"
        assert sent(metrics) == 5
    async with raw_server(answer("429 Too Many Requests")) as url:
        exchange._base_url = url
        await exchange.fetch([BTC])  # the probe, and it is no failure
        assert (exchange.breaker_state, exchange.quiet_seconds) == ("half-open", FIRST_OWN)
        await exchange.fetch([BTC])
    clock.now += FIRST_OWN
    async with raw_server(answer("200 OK", body=TICKER)) as url:
        exchange._base_url = url
        for _ in range(2):
            assert isinstance((await exchange.fetch([BTC]))["btcusdt"], Ticker)
    assert exchange.breaker_state == "closed"
