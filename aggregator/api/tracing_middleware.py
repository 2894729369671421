"""A span for every request, in the trace of who asks."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.api.app import endpoint_of
from aggregator.api.server.direct_write import take_direct_write
from aggregator.observability.tracing import UNTRACED, Tracer

_FIRST_FAULT = 500  # of ours: a refusal is the caller's
_CONTEXT = (b"traceparent", b"tracestate")


def traced(app: ASGIApp, tracer: Tracer) -> ASGIApp:
    """Return the application with a span around each request, or as it is where nobody collects them."""
    return app if tracer is UNTRACED else _Traced(app, tracer)


class _Traced:
    """Stands before everything else."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"][:200]
        caller = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT}
        attributes = {"http.request.method": method, "url.path": path}
        # By the first part of the path, as the metrics have it: names must not be made of what callers send.
        name = f"{method} /{endpoint_of(scope['path'])}"
        with self._tracer.span(name, attributes, "server", caller) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.record("http.response.status_code", message["status"])
                    if message["status"] >= _FIRST_FAULT:
                        span.fail("")
                await send(message)

            take_direct_write(scope)  # a direct write would bypass `noted`
            await self._app(scope, receive, noted)
