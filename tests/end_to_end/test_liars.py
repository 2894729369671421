"""One venue lies while the other two fail: no answer, stream or history ever shows its price."""

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.parts.exchanges import NAMES, Market
from tests.parts.limits import allowed
from tests.parts.live import stream
from tests.parts.process import wait_for
from tests.parts.service import Service
from tests.parts.short_list import HOT, SIZES, write_symbols

pytestmark = pytest.mark.real

INTERVAL = 1.0
FACTOR = 3
BELIEVED = Decimal("1.5")  # the mock market moves by about 2 % per minute
FAILING, LIAR = NAMES[:2], NAMES[2]


def lie(market: Market, **failure: object) -> None:
    """Make two exchanges fail in this way and the third answer with three times the market's price."""
    for name in FAILING:
        market.exchanges[name].faults(**failure)
    market.exchanges[LIAR].faults(price_factor=FACTOR)


@pytest.fixture
def settings(tmp_path: Path, market: Market) -> dict[str, object]:
    """Return the default settings with a short list of assets and short intervals."""
    often = {"refresh_rate": 1000}  # without limits on forced refreshes, so that the test can check many answers
    intervals = {"hot_interval": INTERVAL, "medium_interval": INTERVAL, "cold_interval": INTERVAL}
    return {
        "exchanges": market.setting,
        "symbols_file": write_symbols(tmp_path),
        "refresh_cooldown": 0,
        **often,
        **SIZES,
        **intervals,
    }


@pytest.fixture
def service(tmp_path: Path, settings: dict[str, object]) -> Iterator[Service]:
    """Run the service until every asset has a price from all three exchanges."""
    running = Service(tmp_path, **settings).filled()
    yield running
    assert running.process.stop() == 0, running.process.output


def shown_prices(service: Service) -> list[dict[str, Any]]:
    """Return the prices that each kind of answer shows now; refused calls show none."""
    asset = HOT[0]
    answers = [
        service.get(f"/prices/{asset}"),
        service.get(f"/prices/{asset}/sources"),
        service.post(f"/refresh/{asset}"),
    ]
    listed_now = service.get(f"/prices?assets={','.join(HOT)}").json["prices"]
    past = service.get(f"/prices/{asset}/history?limit=1000").json["prices"]
    return [*(answer.json for answer in answers if answer.status == 200), *listed_now, *past]


def test_a_lone_liar_is_never_believed(service: Service, market: Market) -> None:
    """The last good price is served, turns stale, and then is a 503; history keeps good prices only."""
    honest = {asset: service.get(f"/prices/{asset}").json["price"] for asset in HOT}
    # 429 opens no breaker; the recovery at the end would have to wait for an open breaker's cool-down of 30 s.
    lie(market, rate_limit=0)
    stale, seen = False, 0
    deadline = time.monotonic() + 60
    while service.get(f"/prices/{HOT[0]}").status == 200 and time.monotonic() < deadline:
        for price in shown_prices(service):
            assert price["price"] < honest[price["asset"]] * BELIEVED, price
            assert isinstance(price["degraded"], bool), price
            stale |= price.get("stale", False)
            seen += 1
    assert stale
    assert seen > 0
    refusal = service.get(f"/prices/{HOT[0]}")
    assert (refusal.status, "retry-after" in refusal.headers) == (503, True)

    def liar() -> dict[str, Any]:
        """Return what a refresh says of the liar."""
        reply = service.post(f"/refresh/{HOT[0]}")
        assert reply.status == 502, reply.text
        return next(one for one in reply.json["left_out"] if one["exchange"] == LIAR)

    wait_for(lambda: liar()["reason"] == "too_few", allowed(5), "too few")
    assert liar().get("price", honest[HOT[0]] * FACTOR) > honest[HOT[0]] * 2
    market.sound()
    wait_for(lambda: service.get(f"/prices/{HOT[0]}").status == 200, allowed(60), "a price of sound exchanges")


def test_a_start_beside_a_lone_liar_serves_no_price(
    tmp_path: Path, settings: dict[str, object], market: Market
) -> None:
    """After a start beside a lone liar every asset is 503; with `min_sources=1` its price is served."""
    lie(market, error_rate=1)
    service = Service(tmp_path, **settings).started()
    refused = 'price_tickers_rejected_total{exchange="exchange3",reason="too_few"}'
    wait_for(lambda: service.metric(refused) >= 2 * len(HOT), allowed(60), "two rounds of refreshes")
    assert [service.get(f"/prices/{asset}").status for asset in HOT] == [503] * len(HOT)
    assert service.process.stop() == 0, service.process.output
    trusting = Service(tmp_path, **settings, min_sources=1).started()
    wait_for(lambda: trusting.get(f"/prices/{HOT[0]}").status == 200, allowed(60), "a price of the only venue")
    body = trusting.get(f"/prices/{HOT[0]}").json
    assert (body["sources"], body["degraded"]) == (1, True)
    assert trusting.process.stop() == 0, trusting.process.output


async def test_a_stream_is_not_told_of_it(service: Service, market: Market) -> None:
    """Each price on the stream is near the market's, and `degraded` marks the missing exchanges."""
    honest = {asset: service.get(f"/prices/{asset}").json["price"] for asset in HOT}
    market.exchanges[LIAR].faults(price_factor=FACTOR)
    async with stream(service.url, "?tier=hot") as events:
        told = (await events.until("price")).data
        while not told["degraded"]:
            assert told["price"] < float(honest[told["asset"]] * BELIEVED)
            told = (await events.until("price")).data
        assert (told["sources"], told["degraded"]) == (2, True)
        assert told["price"] < float(honest[told["asset"]] * BELIEVED)
