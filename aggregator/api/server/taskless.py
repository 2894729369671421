"""Requests that are served without a task.

`Respond` writes the response as soon as the head of a request has been parsed. A `Handler` takes the whole request, and
the response is written by a callback. A task and the coroutines in it cost about as much as all else that the server
does for a small request.
"""

from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from aggregator.api.routing.replies import Reply
from aggregator.api.server.direct_write import Take, offer_direct_write, take_direct_write, write_response
from aggregator.api.server.http_1_0 import is_http_1_0, without_chunks
from aggregator.api.server.slow_readers import State

# Called as a function because super() would cost more than the rest of `start_task`.
_start_asgi_task = HttpToolsProtocol._start_asgi_task  # noqa: SLF001  # the only hook that sees each request start


class Taskless(HttpToolsProtocol):
    """Mixin of the HTTP protocol: gives heads to `respond`, and requests for the handler's path to the handler."""

    server_state: State
    _is_first_in_packet = False
    _held: tuple[RequestResponseCycle, ASGIApp, Take] | None = None  # a request whose body has not ended

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # the same type in Starlette's words
        """Start to serve a request. There are four cases.

        1. For the handler, and its head has just been parsed: it is held until its body has ended.
        2. For the handler, after another request of the same connection: its body may have ended already.
        3. Its head has just been parsed, and `respond` serves it. Only the first request of a packet is served so: a
           client that sends thousands at once would hold the event loop.
        4. A task runs the application.
        """
        handler, take = self.server_state.handler, None
        if handler is not None and cycle.scope["path"] == handler.path:
            take = handler.taker(cycle.scope)
        elif self._is_first_in_packet and cycle.more_body:
            self._is_first_in_packet = False
            if self._is_answered_at_once(cycle):
                return
        if take is None:
            self._start_task(cycle, app)
        elif cycle.more_body:
            self._held = (cycle, app, take)
        else:
            self._begin(cycle, app, take)

    def _is_answered_at_once(self, cycle: RequestResponseCycle) -> bool:
        """Let `respond` serve the request; whether it has."""
        respond, default_headers = self.server_state.respond, self.server_state.default_header_lines
        if respond is None or default_headers is None:
            return False
        try:
            is_answered = respond(cycle.scope, partial(write_response, cycle, default_headers))
        except Exception:  # noqa: BLE001  # the task meets it again, and uvicorn reports it; the parser would answer 400
            return False
        if is_answered:
            cycle.more_body = False  # there is no body
            cycle.on_response = _nothing  # it refers to the connection, which refers to the request
        return is_answered

    def _begin_held(self) -> None:
        """Serve the request that is held, if its body has ended."""
        if self._held is not None and not self._held[0].more_body:
            (cycle, app, take), self._held = self._held, None
            self._begin(cycle, app, take)

    def _release_held(self) -> None:
        """Give the request that is held to the application, which bounds the time of its body."""
        if self._held is not None:
            (cycle, app, _), self._held = self._held, None
            self._start_task(cycle, app)

    def _begin(self, cycle: RequestResponseCycle, app: ASGIApp, take: Take) -> None:
        """Give a whole request to the handler; if the handler declines, to the application."""
        if not cycle.keep_alive or not take(bytes(cycle.body), partial(self._answer, cycle, app)):
            self._start_task(cycle, app)

    def _answer(self, cycle: RequestResponseCycle, app: ASGIApp, reply: Reply | None) -> None:
        """Write the response of the handler. A client that has left gets none."""
        default_headers = self.server_state.default_header_lines
        if cycle.disconnected:
            return
        if reply is None:
            self._start_task(cycle, app)
        elif default_headers is None or not write_response(cycle, default_headers, reply.status, reply.head, reply.raw):
            self._start_task(cycle, _sending(reply))
        else:
            cycle.on_response = _nothing  # it refers to the connection, which refers to the request

    def _start_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:
        default_headers = self.server_state.default_header_lines
        if default_headers is not None:
            offer_direct_write(cycle, default_headers)
        if is_http_1_0(cycle):
            app = without_chunks(app, cycle)
        _start_asgi_task(self, cycle, app)  # type: ignore[arg-type]  # uvicorn has a type of its own for applications


def _sending(reply: Reply) -> ASGIApp:
    """Return an application that sends this response."""

    async def send_reply(scope: Scope, _: Receive, send: Send) -> None:
        take_direct_write(scope)
        await send(reply.start)
        await send(reply.end)

    return send_reply


def _nothing() -> None:
    """Do nothing."""
