"""A span for every request, as part of the client's trace if the request has a trace context."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.api.server.direct_write import take_direct_write
from aggregator.observability.tracing import UNTRACED, Tracer

_FIRST_FAILURE = 500  # statuses below are the client's errors, not ours
_CONTEXT = (b"traceparent", b"tracestate")


def traced(app: ASGIApp, tracer: Tracer, label_of: Callable[[str], str]) -> ASGIApp:
    """Return the application with a span around each request, or the application itself if tracing is off.

    `label_of` returns the metric label of a path, which becomes part of the span's name.
    """
    return app if tracer is UNTRACED else _Traced(app, tracer, label_of)


class _Traced:
    """Middleware that comes before all other."""

    def __init__(self, app: ASGIApp, tracer: Tracer, label_of: Callable[[str], str]) -> None:
        self._app = app
        self._label_of = label_of
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"][:200]
        caller = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT}
        attributes = {"http.request.method": method, "url.path": path}
        # The metric label and not the path: clients could otherwise create any number of span names.
        name = f"{method} {self._label_of(scope['path'])}"
        with self._tracer.span(name, attributes, "server", caller) as span:

            async def send_and_record(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.record("http.response.status_code", message["status"])
                    if message["status"] >= _FIRST_FAILURE:
                        span.fail("")
                await send(message)

            take_direct_write(scope)  # a direct write does not pass `send_and_record`
            await self._app(scope, receive, send_and_record)
