"""Requests that the server cancels, as it stops and has waited for them long enough: refused, not failed."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.api.responses import answer

_STOPPING = answer({"msg": "The service is stopping"}, 503, {"Retry-After": "1"})


class Interrupted:
    """Answers a cancelled request with 503, unless its answer has begun: the server would make it a 500.

    The server cancels requests only when its time to stop is over. A refresh can take longer than that, as when the
    process it was asked of has been killed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if begun or scope["type"] != "http":
                raise
            await _STOPPING(scope, receive, send)
