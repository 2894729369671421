"""The request id in the log and in the response of a crash."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from structlog.contextvars import get_contextvars

from aggregator.api.app import build
from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.observability.metrics import Metrics
from tests.parts.routes import route_to
from tests.parts.serving import serving
from tests.parts.streams import rest

ASKED = "GET /assets?%0aforged HTTP/1.1\r\nHost: here\r\nX-Request-ID: order-4711\r\nConnection: close\r\n\r\n"


class Kept(logging.Handler):
    """Keeps log records, and the context variables at that moment."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[tuple[str, dict[str, object]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.told.append((record.getMessage().strip(), dict(get_contextvars())))


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Attach the handler to all loggers."""
    found = Kept()
    logging.getLogger().addHandler(found)
    yield found
    logging.getLogger().removeHandler(found)


async def crash(_: Request) -> Response:
    """Crash."""
    raise ZeroDivisionError


async def test_a_crash_is_one_line_with_the_request_s_id(kept: Kept) -> None:
    """The client gets the id too, with a 500 that reveals nothing."""
    metrics = Metrics(CollectorRegistry())
    server = Server(build([route_to("/assets", crash)], metrics), Limits(), metrics, 1)
    async with serving(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASKED.encode())
        head, _, body = (await rest(reader, writer)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"x-request-id: order-4711" in head.lower()
    assert json.loads(body) == {"msg": "Internal error", "code": "internal_error"}
    assert kept.told == [("Exception in ASGI application", {"request_id": "order-4711", "path": "/assets"})]
