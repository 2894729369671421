"""Requests that a process cannot finish, as it is told to stop: refused in the documented form, never a 500."""

import threading
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Answer, Service

pytestmark = pytest.mark.real

IN_FLIGHT = "price_api_requests_in_flight"


def test_a_refresh_whose_refresher_is_gone(
    tmp_path: Path, few: Path, market: Market, redis_running: RedisServer
) -> None:
    """The process stops before the refresh has an answer: 503 with Retry-After, no traceback, exit 0."""
    # A refresh would be given up after 32 s; a process told to stop waits for 10 s at most.
    settings = {"symbols_file": few, "exchanges": market.setting, "exchange_timeout": 30}
    service = Service(tmp_path, role="api", cache_url=f"{redis_running.url[:-1]}7", **settings).started()
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(service.post("/refresh/btcusdt")))
    asking.start()
    wait_for(lambda: service.metric(IN_FLIGHT) == 2, what="the refresh to be under way beside the scrape")
    service.process.signal(SIGTERM)
    assert service.process.ended(30) == 0, service.process.output
    asking.join()
    (answer,) = answers
    assert (answer.status, answer.json) == (503, {"msg": "The service is stopping"})
    assert answer.headers["retry-after"] == "1"
    assert "Traceback" not in service.process.output
