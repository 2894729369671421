"""Spans as OpenTelemetry makes them, kept in memory: what they are called, and whose they are."""

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
from aggregator.live.topics import Bus
from aggregator.models import NoPrice, Price
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.observability.telemetry import OpenTelemetry
from aggregator.observability.tracing import UNTRACED
from aggregator.prices.freshness import Freshness
from aggregator.prices.publisher import Publisher
from aggregator.prices.refresher import Policy, Refresher
from aggregator.resilience.group_commit import GroupCommit, Sinks
from aggregator.stores.memory import MemoryCache
from aggregator.stores.traced import TracedCache, TracedTable
from tests.parts.asgi import get
from tests.parts.examples import BTC, CADENCE, CATALOG, price
from tests.parts.scripted import ScriptedExchange, Store

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Spans:
    """A tracer, and what it was told."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.tracer = OpenTelemetry(SimpleSpanProcessor(self._kept), "all")

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the ended spans of that name."""
        return [span for span in self._kept.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only one of that name."""
        (found,) = self.named(name)
        return found

    def names(self) -> list[str]:
        """Return all names, in order of ending."""
        return [span.name for span in self._kept.get_finished_spans()]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Collect in memory."""
    found = Spans()
    yield found
    asyncio.run(found.tracer.close(5))


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    """Return what is noted of it."""
    return span.attributes or {}


def is_inside(span: ReadableSpan, outer: ReadableSpan) -> bool:
    """Tell whether it is directly part of the other."""
    return span.parent is not None and outer.context is not None and span.parent.span_id == outer.context.span_id


async def test_nothing_is_traced_by_default() -> None:
    """The application is what it was, a span is nothing, and what is raised inside goes on."""
    app = build([], Metrics(CollectorRegistry()))
    assert traced(app, UNTRACED) is app
    assert UNTRACED.headers() == {}

    def fail() -> None:
        with UNTRACED.span("anything") as span:
            span.record("name", 1)
            span.fail("why")
            raise StoreUnavailable("gone on")

    with pytest.raises(StoreUnavailable, match="gone on"):
        fail()


async def test_a_request_is_a_span(spans: Spans) -> None:
    """With its method, path and status, named by what the metrics call it, and not by what the caller has sent."""
    app = traced(build([], Metrics(CollectorRegistry())), spans.tracer)
    assert (await get(app, "/openapi.json")).status == 200
    told = spans.one("GET /openapi.json")
    assert attributes(told) == {
        "http.request.method": "GET",
        "url.path": "/openapi.json",
        "http.response.status_code": 200,
    }
    assert told.status.status_code is StatusCode.UNSET
    assert (await get(app, f"/{'x' * 1000}")).status == 404
    missed = spans.one("GET /other")
    assert len(str(attributes(missed)["url.path"])) == 200
    assert missed.status.status_code is StatusCode.UNSET  # the caller's mistake is none of ours


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
    """W3C's traceparent is taken over; what is none begins a trace of its own."""
    app = traced(build([], Metrics(CollectorRegistry())), spans.tracer)
    await get(app, "/openapi.json", {name: value.encode().decode("latin-1") for name, value in sent.items()})
    told = spans.one("GET /openapi.json")
    assert told.context is not None
    assert (f"{told.context.trace_id:032x}" == CALLER[3:35]) == known
    assert (told.parent is not None) == known


async def test_headers_tell_another_process(spans: Spans) -> None:
    """What is done there for us is part of our trace."""
    assert spans.tracer.headers() == {}
    with spans.tracer.span("here"):
        headers = spans.tracer.headers()
    with spans.tracer.span("there", caller=headers):
        pass
    assert is_inside(spans.one("there"), spans.one("here"))


def refresher(spans: Spans, history: Store) -> tuple[Refresher, ScriptedExchange]:
    """Return one that is traced, its cache in memory."""
    metrics = Metrics(CollectorRegistry())
    cache = MemoryCache(NewestPrices({tier: cadence.ttl for tier, cadence in CADENCE.items()}), Bus())
    exchange = ScriptedExchange("exchange1")
    sinks = Sinks(GroupCommit("history", history, metrics), GroupCommit("cache", cache, metrics))
    policy = Policy(max_deviation=Decimal("0.05"), min_sources=1, max_weight=Decimal("0.5"), grace=0.1, concurrency=4)
    freshness = Freshness(CATALOG, metrics)
    found = Refresher(
        CATALOG,
        [exchange],
        Publisher(cache.newest, sinks, freshness, metrics, tracer=spans.tracer),
        metrics,
        policy,
        tracer=spans.tracer,
    )
    return found, exchange


async def test_a_refresh_and_its_stores(spans: Spans) -> None:
    """One span for it, and one in it for each store, with how many prices it brought."""
    refreshes, _ = refresher(spans, Store())
    with spans.tracer.span("request"):
        assert isinstance(await refreshes.refresh(BTC, "manual"), Price)
    done = spans.one("refresh")
    assert is_inside(done, spans.one("request"))
    assert attributes(done) == {
        "aggregator.tier": "hot",
        "aggregator.assets": 1,
        "aggregator.trigger": "manual",
        "aggregator.prices": 1,
    }
    for name in ("history write", "cache write"):
        assert is_inside(spans.one(name), done)
        assert spans.one(name).status.status_code is StatusCode.UNSET
    await refreshes.close(1)


async def test_a_store_that_fails(spans: Spans) -> None:
    """Its span says so, and why; the refresh itself has not failed, though its price is not published."""
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
    """A table that takes all but the last, and finds one price."""

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Refuse the last."""
        return list(prices[-1:])

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Know the first."""
        return {symbols[0]: price(symbols[0])}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Be away."""
        raise StoreUnavailable(f"away {symbol} {start} {end} {limit} {newest_first}")

    async def close(self) -> None:
        """Be closed."""


async def test_reads_and_the_table(spans: Spans) -> None:
    """Each store that is asked is a span, with what was asked for and found; what it raises, it says."""
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
