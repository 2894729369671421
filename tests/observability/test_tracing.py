"""Spans as OpenTelemetry makes them, kept in memory: their names, attributes and parents."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.tracing_middleware import traced
from aggregator.errors import StoreUnavailable
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import NoPrice, Price
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.observability.telemetry import OpenTelemetry
from aggregator.observability.tracing import UNTRACED
from aggregator.prices.freshness import Freshness
from aggregator.prices.price_maker import PriceMaker, PricingPolicy
from aggregator.prices.publisher import Publisher
from aggregator.prices.refresher import Refresher
from aggregator.resilience.group_commit import GroupCommit, Sinks
from aggregator.stores.memory import MemoryCache
from aggregator.stores.traced import TracedCache, TracedTable
from tests.parts.asgi import get
from tests.parts.examples import BTC, CADENCE, CATALOG, NOW, price
from tests.parts.scripted import ScriptedExchange, Store

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Spans:
    """A tracer that keeps its finished spans."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.tracer = OpenTelemetry(SimpleSpanProcessor(self._kept), "all")

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the finished spans of that name."""
        return [span for span in self._kept.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of that name."""
        (found,) = self.named(name)
        return found

    def names(self) -> list[str]:
        """Return the names of all spans, in the order in which they finished."""
        return [span.name for span in self._kept.get_finished_spans()]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Return a tracer that keeps its spans in memory."""
    found = Spans()
    yield found
    asyncio.run(found.tracer.close(5))


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    """Return the span's attributes."""
    return span.attributes or {}


def is_inside(span: ReadableSpan, outer: ReadableSpan) -> bool:
    """Whether `outer` is the span's parent."""
    return span.parent is not None and outer.context is not None and span.parent.span_id == outer.context.span_id


async def test_nothing_is_traced_by_default() -> None:
    """The application is not wrapped, a span does nothing, and exceptions pass through it."""
    app = build([], Metrics(CollectorRegistry()))
    assert traced(app, UNTRACED, str) is app
    assert UNTRACED.headers() == {}

    def fail() -> None:
        with UNTRACED.span("anything") as span:
            span.record("name", 1)
            span.fail("why")
            raise StoreUnavailable("gone on")

    with pytest.raises(StoreUnavailable, match="gone on"):
        fail()


async def test_a_request_is_a_span(spans: Spans) -> None:
    """With method, path and status; its name has the endpoint label of the metrics, not the path of the request."""
    built = build([], Metrics(CollectorRegistry()))
    app = traced(built, spans.tracer, built.label_of)
    assert (await get(app, "/openapi.json")).status == 200
    span = spans.one("GET /openapi.json")
    assert attributes(span) == {
        "http.request.method": "GET",
        "url.path": "/openapi.json",
        "http.response.status_code": 200,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert (await get(app, f"/{'x' * 1000}")).status == 404
    missed = spans.one("GET /other")
    assert len(str(attributes(missed)["url.path"])) == 200
    assert missed.status.status_code is StatusCode.UNSET  # a mistake of the caller is no error of the service


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ({"traceparent": CALLER, "tracestate": "vendor=1"}, True),
        ({"traceparent": CALLER.upper()}, False),
        ({"traceparent": "nonsense"}, False),
        ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, False),
        ({"traceparent": "é"}, False),
        ({}, False),
    ],
)
async def test_the_caller_s_trace_goes_on(spans: Spans, sent: dict[str, str], known: bool) -> None:  # noqa: FBT001  # a case
    """A valid W3C traceparent is continued; anything else begins a new trace."""
    built = build([], Metrics(CollectorRegistry()))
    app = traced(built, spans.tracer, built.label_of)
    await get(app, "/openapi.json", {name: value.encode().decode("latin-1") for name, value in sent.items()})
    span = spans.one("GET /openapi.json")
    assert span.context is not None
    assert (f"{span.context.trace_id:032x}" == CALLER[3:35]) == known
    assert (span.parent is not None) == known


async def test_headers_tell_another_process(spans: Spans) -> None:
    """The span there is a child of the one here."""
    assert spans.tracer.headers() == {}
    with spans.tracer.span("here"):
        headers = spans.tracer.headers()
    with spans.tracer.span("there", caller=headers):
        pass
    assert is_inside(spans.one("there"), spans.one("here"))


def refresher(spans: Spans, history: Store) -> tuple[Refresher, ScriptedExchange]:
    """Return a refresher that is traced, with its cache in memory, and its only exchange."""
    metrics = Metrics(CollectorRegistry())
    cache = MemoryCache(NewestPrices({tier: cadence.ttl for tier, cadence in CADENCE.items()}), Bus([PRICES]))
    exchange = ScriptedExchange("exchange1")
    sinks = Sinks(GroupCommit("history", history, metrics), GroupCommit("cache", cache, metrics))
    policy = PricingPolicy(max_deviation=Decimal("0.05"), min_sources=1, max_weight=Decimal("0.5"))
    publisher = Publisher(cache.newest, sinks, Freshness(CATALOG, metrics), metrics, lambda: NOW, tracer=spans.tracer)
    maker = PriceMaker([exchange.name], CATALOG.cadence, publisher, metrics, policy)
    found = Refresher([exchange], maker, metrics, min_sources=1, grace=0.1, concurrency=4, tracer=spans.tracer)
    return found, exchange


async def test_a_refresh_and_its_stores(spans: Spans) -> None:
    """One span for the refresh, with its number of prices, and a child for each store."""
    refreshes, _ = refresher(spans, Store())
    with spans.tracer.span("request"):
        assert isinstance(await refreshes.refresh(BTC, "manual"), Price)
    refresh = spans.one("refresh")
    assert is_inside(refresh, spans.one("request"))
    assert attributes(refresh) == {
        "aggregator.tier": "hot",
        "aggregator.assets": 1,
        "aggregator.trigger": "manual",
        "aggregator.prices": 1,
    }
    for name in ("history write", "cache write"):
        assert is_inside(spans.one(name), refresh)
        assert spans.one(name).status.status_code is StatusCode.UNSET
    await refreshes.close(1)


async def test_a_store_that_fails(spans: Spans) -> None:
    """Its span has failed, with the reason; the refresh's span has not, though its price is not published."""
    history = Store()
    history.away = True
    refreshes, _ = refresher(spans, history)
    assert isinstance(await refreshes.refresh(BTC, "manual"), NoPrice)
    failed = spans.one("history write").status
    assert failed.status_code is StatusCode.ERROR
    assert failed.description
    assert spans.one("refresh").status.status_code is StatusCode.UNSET
    await refreshes.close(1)


class Table:
    """A table that refuses the last price of a batch, and finds one price."""

    name, batch = "dynamodb", 25

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Refuse the last price."""
        return list(prices[-1:])

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Find the first asset's price."""
        return {symbols[0]: price(symbols[0])}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Fail as a table that cannot be reached."""
        raise StoreUnavailable(f"away {symbol} {start} {end} {limit} {newest_first}")

    async def close(self) -> None:
        """Do nothing."""


async def test_reads_and_the_table(spans: Spans) -> None:
    """A span for each call of a store, with the numbers of assets asked for and prices found; errors are recorded."""
    table = TracedTable(Table(), spans.tracer)
    assert len(await table.put([price(), price("ethusdt")])) == 1
    assert attributes(spans.one("dynamodb write")) == {"aggregator.prices": 2, "aggregator.not_taken": 1}
    cache = TracedCache(Store(), spans.tracer)
    await cache.write([price()])
    assert "btcusdt" in await cache.latest(["btcusdt", "ethusdt"])
    assert attributes(spans.one("cache read")) == {"aggregator.assets": 2, "aggregator.prices": 1}
    assert await table.latest(["btcusdt"])
    with pytest.raises(StoreUnavailable):
        await table.between("btcusdt", 0, 1, 10, newest_first=True)
    read, failed = spans.named("dynamodb read")
    assert read.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
