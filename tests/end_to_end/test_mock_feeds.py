"""The service on mock exchanges that push: prices without calls, and what the faults of a feed do to them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.parts.exchanges import NAMES, Market, market
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

SYMBOLS = "symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n"
BTC = "/prices/btcusdt"


@pytest.fixture(scope="module")
def pushing() -> Iterator[Market]:
    """Run three exchanges that push ten times a second."""
    with market(push_ms=100) as pushing:
        yield pushing


@pytest.fixture
def service(pushing: Market, tmp_path: Path) -> Iterator[Service]:
    """Run the service on their feeds, until all of them push."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text(SYMBOLS)
    service = Service(tmp_path, symbols_file=symbols, exchanges=pushing.pushed_setting, hot_interval=2).started()
    wait_for(lambda: states(service) == {"live"}, what="three live feeds")
    yield service
    pushing.sound()
    assert service.process.stop() == 0


def states(service: Service) -> set[str]:
    """Return the push states that /ready shows."""
    return {one["push"] for one in service.get("/ready").json["exchanges"].values()}


def told(service: Service, name: str, kind: str) -> float:
    """Return how many news of this kind the feed of an exchange has brought."""
    return service.metric(f'price_exchange_push_messages_total{{exchange="{name}",kind="{kind}"}}')


def calls(service: Service) -> float:
    """Return how many calls all exchanges have had."""
    return sum(service.metric(f'price_exchange_requests_total{{exchange="{name}"}}') for name in NAMES)


def sources(service: Service) -> dict[str, Decimal]:
    """Return the prices of which btcusdt is made, by exchange."""
    answer = service.get(f"{BTC}/sources")
    return {one["exchange"]: one["price"] for one in answer.json["sources"]} if answer.status == 200 else {}


def test_prices_are_made_of_pushed_tickers(service: Service) -> None:
    """While all feeds push, prices of all three exchanges are renewed without any call."""

    def renewed_without_a_call() -> bool:
        before, price = calls(service), service.get(BTC).json
        wait_for(lambda: service.get(BTC).json["timestamp"] > price["timestamp"], what="a newer price")
        return calls(service) == before

    wait_for(lambda: set(sources(service)) == set(NAMES), what="three sources")
    wait_for(renewed_without_a_call, what="a price without a call")
    assert all(told(service, name, "ticker") > 0 for name in NAMES)
    assert all(told(service, name, "junk") == told(service, name, "refused") == 0 for name in NAMES)


def test_a_disordered_feed_costs_nothing(service: Service, pushing: Market) -> None:
    """Duplicated and reordered tickers are counted, and the exchange still has its part in the price."""
    pushing.exchanges[NAMES[0]].faults(duplicate_rate=0.5, reorder_rate=0.5)
    wait_for(lambda: told(service, NAMES[0], "out_of_order") >= 5, what="tickers out of order")
    wait_for(lambda: set(sources(service)) == set(NAMES), what="three sources")
    wait_for(lambda: states(service) == {"live"}, what="three live feeds")


def test_a_feed_of_junk_has_no_part_in_the_price(service: Service, pushing: Market) -> None:
    """Junk is counted, the price is made of the other two exchanges, and the feed recovers with the exchange."""
    pushing.exchanges[NAMES[1]].faults(garbage_rate=1)
    wait_for(lambda: told(service, NAMES[1], "junk") >= 5, what="junk")
    wait_for(lambda: set(sources(service)) == {NAMES[0], NAMES[2]}, what="two sources")
    pushing.sound()
    wait_for(lambda: set(sources(service)) == set(NAMES), what="three sources")
    wait_for(lambda: states(service) == {"live"}, what="three live feeds")


def test_a_feed_that_lies_is_left_out(service: Service, pushing: Market) -> None:
    """A pushed price far from the others is an outlier, like a polled one."""
    pushing.exchanges[NAMES[2]].faults(price_factor=3)
    wait_for(lambda: set(sources(service)) == {NAMES[0], NAMES[1]}, what="two sources")

    def left_out() -> list[tuple[str, str]]:
        found = service.get(f"{BTC}/sources").json.get("left_out", [])
        return [(one["exchange"], one["reason"]) for one in found]

    wait_for(lambda: left_out() == [(NAMES[2], "outlier")], what="an outlier")
