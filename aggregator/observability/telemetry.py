"""Traces by OpenTelemetry over OTLP/HTTP. Needs the extra `otel`; imported only with the setting `traces=otlp`.

OpenTelemetry's own environment variables configure it: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and so on.
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
    """Return a tracer that sends its spans in the background. Raises CannotGoOn if an OTEL_ variable is invalid."""
    # OpenTelemetry logs a line for each span that is dropped and each attempt that fails; _LoggingExporter logs one.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        return OpenTelemetry(BatchSpanProcessor(_LoggingExporter(OTLPSpanExporter())), role)
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
        """As `Tracer.span`; a new trace begins if the caller's headers are no W3C trace context."""
        context = None if caller is None else _W3C.extract(caller)
        with self._tracer.start_as_current_span(name, context, _KINDS[kind], attributes) as span:
            yield _Span(span)

    def headers(self) -> dict[str, str]:
        """As `Tracer.headers`: traceparent, and tracestate if there is one."""
        found: dict[str, str] = {}
        _W3C.inject(found)
        return found

    async def close(self, patience: float) -> None:
        """Send the remaining spans, for at most `patience` seconds: without a collector, the exporter would retry."""
        shutdown = threading.Thread(target=self._provider.shutdown, daemon=True)
        shutdown.start()
        await asyncio.to_thread(shutdown.join, patience)


class _Span:
    """`aggregator.observability.tracing.Span`."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def record(self, name: str, value: Value) -> None:
        """As `Span.record`."""
        self._span.set_attribute(name, value)

    def fail(self, why: str) -> None:
        """As `Span.fail`."""
        self._span.set_status(Status(StatusCode.ERROR, why))


class _LoggingExporter(SpanExporter):
    """Exports spans, and logs when exports begin to fail and when they succeed again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self._log = structlog.get_logger()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans; called in the batch processor's own thread."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            self._log.warning("traces_not_sent", spans=len(spans))
        elif self._failing and not failing:
            self._log.info("traces_sent_again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Stop retrying an export that is under way."""
        self._exporter.shutdown()


def _resource(role: str) -> Resource:
    """Return the resource of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES; without a name, it is `aggregator`."""
    found = Resource.create({"aggregator.role": role})
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "aggregator"}))
    return found
