"""Traces by OpenTelemetry over OTLP/HTTP. An extra: whoever wants no traces neither needs nor imports this.

Where to and how many is said by OpenTelemetry's own environment variables: OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_TRACES_SAMPLER and so on.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from aggregator.errors import CannotGoOn
from aggregator.observability.tracing import NOTHING, Kind, Value

_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_W3C = TraceContextTextMapPropagator()


def otlp(role: str) -> "OpenTelemetry":
    """Return a tracer that sends its spans in the background. Raises CannotGoOn when a variable makes no sense."""
    # Of each span that does not fit and each try that fails, OpenTelemetry logs a line of its own.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        return OpenTelemetry(BatchSpanProcessor(_Told(OTLPSpanExporter())), role)
    except ValueError as error:
        raise CannotGoOn(f"cannot send traces: {error}; check the OTEL_ variables") from error


class OpenTelemetry:
    """`aggregator.observability.tracing.Tracer`."""

    def __init__(self, processor: SpanProcessor, role: str) -> None:
        self._provider = TracerProvider(resource=_resource(role), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("aggregator")

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, Value] = NOTHING,
        kind: Kind = "internal",
        caller: Mapping[str, str] | None = None,
    ) -> Iterator["_Span"]:
        """As `Tracer.span`; headers that are no W3C trace context begin a trace of their own."""
        context = None if caller is None else _W3C.extract(caller)
        with self._tracer.start_as_current_span(name, context, _KINDS[kind], attributes) as span:
            yield _Span(span)

    def headers(self) -> dict[str, str]:
        """As `Tracer.headers`: traceparent, and tracestate where there is one."""
        found: dict[str, str] = {}
        _W3C.inject(found)
        return found

    async def close(self, patience: float) -> None:
        """Send what is left, for at most `patience` seconds: the collector may be away, and it goes on trying."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, patience)


class _Span:
    """`aggregator.observability.tracing.Span`."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def record(self, name: str, value: Value) -> None:
        """As `Span.note`."""
        self._span.set_attribute(name, value)

    def fail(self, why: str) -> None:
        """As `Span.fail`."""
        self._span.set_status(Status(StatusCode.ERROR, why))


class _Told(SpanExporter):
    """Sends, and tells the log when that begins to fail and when it goes well again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self._log = structlog.get_logger()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send; called in the thread that does nothing else."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            self._log.warning("traces_not_sent", spans=len(spans))
        elif self._failing and not failing:
            self._log.info("traces_sent_again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Give up what is being tried."""
        self._exporter.shutdown()


def _resource(role: str) -> Resource:
    """Return who we are: by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, else the package's name."""
    found = Resource.create({"aggregator.role": role})
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "aggregator"}))
    return found
