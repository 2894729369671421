"""When a round of requests has enough answers; times are arguments, no clock is used."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import Asset, LeftOut, Reason, Ticker
from aggregator.prices.quorum import Quorum
from tests.parts.examples import BTC, ETH, ticker

NAMES = ["a", "b", "c"]
GRACE = 0.25


def tickers(exchange: str, *assets: Asset) -> dict[str, Ticker | LeftOut]:
    """Return a ticker of each asset."""
    return {asset.symbol: ticker(exchange, symbol=asset.symbol) for asset in assets}


def refusals(exchange: str, *assets: Asset) -> dict[str, Ticker | LeftOut]:
    """Return a failure for each asset."""
    return {asset.symbol: LeftOut(exchange, Reason.NOT_LISTED) for asset in assets}


def settled(quorum: Quorum, now: float) -> list[str]:
    """Return the symbols that are settled at `now`."""
    return [asset.symbol for asset, _ in quorum.settle(now)]


def test_all_have_answered() -> None:
    """Once all exchanges have answered, the asset is settled without a grace."""
    quorum = Quorum([BTC], NAMES, 1, GRACE)
    for name in NAMES:
        assert settled(quorum, 1) == []
        quorum.record(name, tickers(name, BTC), 1)
    assert settled(quorum, 1) == ["btcusdt"]
    assert not quorum.open


def test_the_rest_gets_the_grace_from_the_majority_on() -> None:
    """The grace runs from the majority's answer and is not extended; a missing answer becomes LATE."""
    quorum = Quorum([BTC], NAMES, 1, GRACE)
    quorum.record("a", tickers("a", BTC), 1)
    assert quorum.next_end is None
    quorum.record("b", tickers("b", BTC), 2)
    assert quorum.next_end == 2 + GRACE
    assert settled(quorum, 2.2) == []
    ((_, answers),) = quorum.settle(2 + GRACE)
    assert answers[2] == LeftOut("c", Reason.LATE, "not within 0.25 s of the majority")
    quorum.record("c", tickers("c", BTC), 3)  # already settled
    assert not quorum.open


def test_an_exchange_that_does_not_list_the_asset_has_no_vote() -> None:
    """Exchanges that do not list the asset have no vote: of four that trade it, three are a majority."""
    quorum = Quorum([BTC], [*NAMES, "d", "e", "f"], 1, GRACE)
    for name in "ef":
        quorum.record(name, refusals(name, BTC), 1)
    for name in "ab":
        quorum.record(name, tickers(name, BTC), 1)
    assert quorum.next_end is None
    quorum.record("c", tickers("c", BTC), 2)
    assert quorum.next_end == 2 + GRACE


def test_assets_of_a_batch_are_settled_one_by_one() -> None:
    """An asset that only the slow exchange lists waits for it; the others of the batch do not."""
    quorum = Quorum([BTC, ETH], NAMES, 1, GRACE)
    for name in "ab":
        quorum.record(name, tickers(name, BTC) | refusals(name, ETH), 1)
    assert settled(quorum, 2) == ["btcusdt"]
    assert quorum.open
    assert quorum.next_end is None
    quorum.record("c", tickers("c", BTC, ETH), 9)
    assert settled(quorum, 9) == ["ethusdt"]


def test_as_many_tickers_as_a_price_needs() -> None:
    """A majority with fewer tickers than a price needs is not enough."""
    quorum = Quorum([BTC], NAMES, 2, GRACE)
    quorum.record("a", tickers("a", BTC), 1)
    quorum.record("b", refusals("b", BTC), 1)
    assert quorum.next_end is None


def test_the_grace_goes_on_while_the_answers_make_no_price() -> None:
    """Tickers that disagree settle nothing: the asset waits for the next answer, and then has a grace again."""
    seen: list[list[str]] = []

    def makes_price(_: Asset, answers: Sequence[Ticker | LeftOut]) -> bool:
        seen.append([one.exchange for one in answers if isinstance(one, Ticker)])
        return len(seen[-1]) > len(NAMES)

    quorum = Quorum([BTC], [*NAMES, "d", "e"], 2, GRACE, makes_price)
    for name in NAMES:
        quorum.record(name, tickers(name, BTC), 1)
    assert settled(quorum, 1 + GRACE) == []
    assert quorum.next_end is None
    quorum.record("d", tickers("d", BTC), 3)
    assert quorum.next_end == 3 + GRACE
    assert settled(quorum, 3 + GRACE) == ["btcusdt"]
    assert seen == [NAMES, [*NAMES, "d"]]


@given(st.permutations([(name, asset) for name in NAMES for asset in (BTC, ETH)]), st.lists(st.booleans(), min_size=6))
def test_once_all_have_answered_everyone_is_settled_once(order: list[tuple[str, Asset]], sound: list[bool]) -> None:
    """Every asset is settled exactly once, in whatever order the answers come and whenever `settle` is called."""
    quorum, seen = Quorum([BTC, ETH], NAMES, 1, GRACE), []
    for now, ((name, asset), is_ticker) in enumerate(zip(order, sound, strict=False)):
        quorum.record(name, tickers(name, asset) if is_ticker else refusals(name, asset), now)
        seen += settled(quorum, now)
    assert sorted(seen) == ["btcusdt", "ethusdt"]
    assert not quorum.open
