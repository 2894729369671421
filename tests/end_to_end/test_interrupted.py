"""Requests that a stopping process cannot finish get the documented 503, never a 500."""

import http.client
import json
import threading
from pathlib import Path
from signal import SIGTERM
from urllib.parse import urlsplit

import pytest

from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

pytestmark = pytest.mark.real

IN_FLIGHT = "price_api_requests_in_flight"
PATIENCE = 60.0  # seconds; longer than the refresh may take


def test_a_refresh_whose_refresher_is_gone(
    tmp_path: Path, symbols_file: Path, market: Market, redis_running: RedisServer
) -> None:
    """A refresh whose refresher is gone is 503 with Retry-After when the process stops, without traceback, exit 0."""
    # The refresh would time out after 32 s; a stopping process waits for 10 s at most.
    settings = {"symbols_file": symbols_file, "exchanges": market.setting, "exchange_timeout": 30}
    service = Service(tmp_path, role="api", cache_url=f"{redis_running.url[:-1]}7", **settings).started()
    answers: list[tuple[int, str | None, object]] = []
    asking = threading.Thread(target=lambda: answers.append(refreshed(service)))
    asking.start()
    wait_for(lambda: service.metric(IN_FLIGHT) == 2, what="the refresh to be under way beside the scrape")
    service.process.signal(SIGTERM)
    assert service.process.ended(PATIENCE) == 0, service.process.output
    asking.join()
    assert answers == [(503, "1", {"msg": "The service is stopping", "code": "stopping"})]
    assert "Traceback" not in service.process.output


def refreshed(service: Service) -> tuple[int, str | None, object]:
    """POST /refresh; return status, Retry-After and body."""
    where = urlsplit(service.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE)
    try:
        connection.request("POST", "/refresh/btcusdt")
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, answer.headers["Retry-After"], json.loads(text) if answer.status == 503 else text
    finally:
        connection.close()
