"""Check a running deployment over HTTP: `./test.sh live http://host:8080`.

A plain run does not collect this file: it needs a deployment. When AGGREGATOR_API_KEY is set, refreshes send it.
"""

import asyncio
import itertools
import json
import os
import re
import time
import urllib.request
from decimal import Context, Decimal
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.parts.process import wait_for
from tests.parts.service import Answer, call

LIVE_SECONDS = 30  # time limit for a new hot price; the hot tier is refreshed every few seconds


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """Return the address of the deployment."""
    found = request.config.getoption("--url")
    if not found:
        pytest.fail("say which deployment: ./test.sh live http://host:8080")
    return str(found).rstrip("/")


@pytest.fixture(scope="session")
def asset(url: str) -> str:
    """Return the first asset of the list."""
    found: str = call("GET", f"{url}/assets").json["assets"][0]["symbol"]
    return found


def refresh(url: str, asset: str) -> Answer:
    """POST a refresh; after a 429, once more when Retry-After has passed."""
    key = os.environ.get("AGGREGATOR_API_KEY")
    headers = {"X-API-Key": key} if key else {}
    answer = call("POST", f"{url}/refresh/{asset}", headers)
    if answer.status != 429:
        return answer
    time.sleep(int(answer.headers["retry-after"]))
    return call("POST", f"{url}/refresh/{asset}", headers)


def test_it_is_alive(url: str) -> None:
    """GET /health answers OK."""
    answer = call("GET", f"{url}/health")
    assert (answer.status, answer.text) == (200, "OK")


def test_it_is_ready(url: str) -> None:
    """GET /ready becomes 200 without reasons, within the time that a start may take."""
    seen: dict[str, Any] = {}

    def ready() -> bool:
        seen.update(call("GET", f"{url}/ready").json)
        return bool(seen["ready"])

    wait_for(ready, 60, f"ready; last said: {seen}")
    assert seen["reasons"] == []


def test_each_exchange_answers(url: str, asset: str) -> None:
    """Every exchange has a closed breaker and contributes to a price that was just refreshed."""
    exchanges = call("GET", f"{url}/ready").json["exchanges"]
    assert {name: state["breaker"] for name, state in exchanges.items()} == dict.fromkeys(exchanges, "closed")
    assert refresh(url, asset).status == 200
    price = call("GET", f"{url}/prices/{asset}/sources").json
    sources = {source["exchange"] for source in price["sources"]}
    if exchanges:
        assert sources == set(exchanges), price["left_out"]
    else:  # an API-only process calls no exchange: the prices' sources name them
        assert sources
        assert price["left_out"] == []


def test_a_price_is_that_of_its_sources(url: str, asset: str) -> None:
    """A price equals the volume-weighted mean of its sources, to the last digit."""
    answer = call("GET", f"{url}/prices/{asset}")
    assert answer.status == 200
    assert answer.json["price"] > 0
    assert not answer.json["stale"]
    body = call("GET", f"{url}/prices/{asset}/sources").json
    exact = Context(prec=100)
    turnover = sum(exact.multiply(Decimal(one["price"]), Decimal(one["volume"])) for one in body["sources"])
    volume = sum(Decimal(one["volume"]) for one in body["sources"])
    assert body["price"] == Context(prec=10).divide(Decimal(turnover), Decimal(volume))


def test_a_refresh_brings_a_newer_price(url: str, asset: str) -> None:
    """After POST /refresh, GET returns a newer timestamp than before."""
    before = call("GET", f"{url}/prices/{asset}").json["timestamp"]
    refreshed = refresh(url, asset)
    assert refreshed.status == 200, refreshed.text
    after = call("GET", f"{url}/prices/{asset}").json["timestamp"]
    assert after >= refreshed.json["timestamp"] > before


def test_history_holds_the_price(url: str, asset: str) -> None:
    """The history contains the price that was just refreshed."""
    refreshed = refresh(url, asset).json

    def stored() -> bool:
        answer = call("GET", f"{url}/prices/{asset}/history?limit=1000")
        prices = answer.json["prices"] if answer.status == 200 else []  # 503 while DynamoDB is slow
        return (refreshed["timestamp"], refreshed["price"]) in [(one["timestamp"], one["price"]) for one in prices]

    wait_for(stored, 15, "the refreshed price in history")


def test_live_prices_come_as_they_are_made(url: str) -> None:
    """GET /stream sends a snapshot and then a new price: no proxy on the way buffers it."""
    with urllib.request.urlopen(f"{url}/stream?tier=hot", timeout=LIVE_SECONDS) as stream:
        events = (line.decode().strip() for line in stream if line.startswith(b"event: "))
        assert list(itertools.islice(events, 2)) == ["event: snapshot", "event: price"]


async def test_live_prices_come_over_a_websocket(url: str) -> None:
    """GET /ws works the same way: every proxy on the way passes WebSockets."""
    async with connect(f"{url.replace('http', 'ws', 1)}/ws") as socket, asyncio.timeout(LIVE_SECONDS):
        await socket.send(json.dumps({"type": "subscribe", "tiers": ["hot"]}))
        told = [json.loads(await socket.recv())["type"] for _ in range(3)]
    assert told == ["subscribed", "snapshot", "price"]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_browser_gets_all_of_a_page(url: str, path: str) -> None:
    """The live page, the documentation, and every file they reference are served."""
    page = call("GET", f"{url}{path}")
    assert page.headers["content-type"].startswith("text/html")
    files = re.findall(r'(?:href|src)="(/[^"]+)"', page.text)
    assert files
    assert {file: call("GET", f"{url}{file}").status for file in files} == dict.fromkeys(files, 200)


def test_every_tier_is_priced(url: str) -> None:
    """Every asset has a price."""
    tiers = call("GET", f"{url}/ready").json["tiers"]
    assert tiers
    assert {name: tier["priced"] for name, tier in tiers.items()} == {
        name: tier["assets"] for name, tier in tiers.items()
    }


def test_metrics_are_there(url: str) -> None:
    """GET /metrics counts the requests that were just made."""
    text = call("GET", f"{url}/metrics").text
    assert 'price_api_requests_total{endpoint="/prices",status="200"}' in text


def test_bad_input_is_refused(url: str) -> None:
    """An invalid symbol is 400, an unknown one 404, with the texts of the contract."""
    assert call("GET", f"{url}/prices/no.symbol").json == {"msg": "Invalid asset symbol", "code": "invalid_symbol"}
    assert call("GET", f"{url}/prices/nosuchasset").json == {"msg": "Asset not found", "code": "asset_not_found"}
