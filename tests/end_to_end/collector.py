"""A stand-in for an OpenTelemetry collector: receives OTLP/HTTP, stores the spans, and can reject requests."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Sent(msgspec.Struct, frozen=True):
    """A span as the service exported it; ids in hex, an empty parent for a root span, `failed` from its status."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    failed: bool
    attributes: dict[str, str | int | float]
    service: dict[str, str | int | float]


class Collector:
    """The spans received so far."""

    def __init__(self) -> None:
        self.spans: list[Sent] = []
        self.refusing = False
        self.refused = 0
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def named(self, name: str) -> list[Sent]:
        """Return the spans of this name."""
        return [span for span in list(self.spans) if span.name == name]

    def take(self, body: bytes) -> None:
        """Decode one export request and store its spans."""
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [
                    Sent(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.kind,
                        span.status.code == span.status.STATUS_CODE_ERROR,
                        _plain(span.attributes),
                        service,
                    )
                    for span in scope.spans
                ]


def _plain(attributes: object) -> dict[str, str | int | float]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}  # type: ignore[attr-defined]  # protobuf's own container


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    collector: Collector


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:  # the method name that http.server calls
        collector = cast("_Server", self.server).collector
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        elif self.headers.get("Content-Encoding") == "deflate":
            body = zlib.decompress(body)
        collector.headers.append({name.lower(): value for name, value in self.headers.items()})
        if collector.refusing or self.path != "/v1/traces":
            collector.refused += 1
            self.send_response(400)
        else:
            collector.take(body)
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.collector = collector
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield collector
        server.shutdown()
        serving.join()
