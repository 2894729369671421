"""Every request has an id, in its answer and in every line that is logged on its way.

Prices in near memory are answered before they come here (`at_hand.py`): nothing is logged of them.
"""

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

HEADER = b"x-request-id"
SANE = "[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}"
_SANE = re.compile(SANE.encode())
_ANSWERS = ("http.response.start", "websocket.accept")


class RequestIds:
    """Takes the caller's id if it can be one, or makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = _given(scope) or secrets.token_hex(16).encode()
        bind_contextvars(request_id=name.decode())  # for good: the server has a task, and so a context, for each

        async def identified(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, name)]}
            await send(message)

        await self._app(scope, receive, identified)


def _given(scope: Scope) -> bytes | None:
    """Return the id in the header: none that is too long, or has signs that could pass for something else in a log."""
    found = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return found if _SANE.fullmatch(found) else None
