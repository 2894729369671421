"""When a round of questions is answered well enough: a table of moments, and no clock."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import Asset, LeftOut, Reason, Ticker
from aggregator.prices.quorum import Quorum
from tests.parts.examples import BTC, ETH, ticker

NAMES = ["a", "b", "c"]
GRACE = 0.25


def tickers(exchange: str, *assets: Asset) -> dict[str, Ticker | LeftOut]:
    """Return a ticker for each."""
    return {asset.symbol: ticker(exchange, symbol=asset.symbol) for asset in assets}


def refusals(exchange: str, *assets: Asset) -> dict[str, Ticker | LeftOut]:
    """Return a refusal for each."""
    return {asset.symbol: LeftOut(exchange, Reason.NOT_LISTED) for asset in assets}


def settled(quorum: Quorum, now: float) -> list[str]:
    """Return who is settled at `now`."""
    return [asset.symbol for asset, _ in quorum.settle(now)]


def test_all_have_answered() -> None:
    """Then there is nothing to wait for."""
    quorum = Quorum([BTC], NAMES, 1, GRACE)
    for name in NAMES:
        assert settled(quorum, 1) == []
        quorum.record(name, tickers(name, BTC), 1)
    assert settled(quorum, 1) == ["btcusdt"]
    assert not quorum.open


def test_the_rest_gets_the_grace_from_the_majority_on() -> None:
    """Not from the start, and not anew with every answer; who is late then is told so."""
    quorum = Quorum([BTC], NAMES, 1, GRACE)
    quorum.record("a", tickers("a", BTC), 1)
    assert quorum.next_end is None
    quorum.record("b", tickers("b", BTC), 2)
    assert quorum.next_end == 2 + GRACE
    assert settled(quorum, 2.2) == []
    ((_, answers),) = quorum.settle(2 + GRACE)
    assert answers[2] == LeftOut("c", Reason.LATE, "not within 0.25 s of the majority")
    quorum.record("c", tickers("c", BTC), 3)  # nobody waits for it any more
    assert not quorum.open


def test_who_does_not_list_it_has_no_vote() -> None:
    """That is known at once, and must not make the first ticker a majority: of the four who trade it, three are."""
    quorum = Quorum([BTC], [*NAMES, "d", "e", "f"], 1, GRACE)
    for name in "ef":
        quorum.record(name, refusals(name, BTC), 1)
    for name in "ab":
        quorum.record(name, tickers(name, BTC), 1)
    assert quorum.next_end is None
    quorum.record("c", tickers("c", BTC), 2)
    assert quorum.next_end == 2 + GRACE


def test_each_asset_of_a_batch_by_itself() -> None:
    """What only the slow one lists waits for it; the others do not."""
    quorum = Quorum([BTC, ETH], NAMES, 1, GRACE)
    for name in "ab":
        quorum.record(name, tickers(name, BTC) | refusals(name, ETH), 1)
    assert settled(quorum, 2) == ["btcusdt"]
    assert quorum.open
    assert quorum.next_end is None
    quorum.record("c", tickers("c", BTC, ETH), 9)
    assert settled(quorum, 9) == ["ethusdt"]


def test_as_many_tickers_as_a_price_needs() -> None:
    """A majority with one ticker too few is not enough."""
    quorum = Quorum([BTC], NAMES, 2, GRACE)
    quorum.record("a", tickers("a", BTC), 1)
    quorum.record("b", refusals("b", BTC), 1)
    assert quorum.next_end is None


@given(st.permutations([(name, asset) for name in NAMES for asset in (BTC, ETH)]), st.lists(st.booleans(), min_size=6))
def test_once_all_have_answered_everyone_is_settled_once(order: list[tuple[str, Asset]], sound: list[bool]) -> None:
    """In whatever order and with whatever the answers come, whenever one looks."""
    quorum, seen = Quorum([BTC, ETH], NAMES, 1, GRACE), []
    for now, ((name, asset), is_ticker) in enumerate(zip(order, sound, strict=False)):
        quorum.record(name, tickers(name, asset) if is_ticker else refusals(name, asset), now)
        seen += settled(quorum, now)
    assert sorted(seen) == ["btcusdt", "ethusdt"]
    assert not quorum.open
