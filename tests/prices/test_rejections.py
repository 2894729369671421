"""When an exchange counts as rejected, and when it is accepted again."""

from collections.abc import Iterable
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as some

from aggregator.models import LeftOut, NoPrice, Price, Reason, Source, Tier
from aggregator.prices.rejections import LEAST, Change, Rejection, Rejections, window_seconds
from tests.parts.examples import NOW

WINDOW = 10.0
ASSETS = [f"asset{number}" for number in range(20)]
GOOD, LIAR = "exchange1", "exchange3"


def outcome(asset: str, reason: Reason | None, exchange: str = LIAR) -> Price | NoPrice:
    """Return the outcome of an asset: one exchange's ticker counts, the other's as given."""
    names = [GOOD] if reason is not None else [GOOD, exchange]
    sources = tuple(Source(name, Decimal(100), Decimal(1), NOW, Decimal(1)) for name in names)
    left_out = () if reason is None else (LeftOut(exchange, reason),)
    if reason is Reason.DISAGREEMENT:
        return NoPrice(asset, left_out)
    return Price(asset, Decimal(100), NOW, Tier.HOT, Decimal(0), NOW, sources, left_out)


def rounds(rejections: Rejections, shares: Iterable[int], start: float = 0.0) -> list[Change]:
    """Refresh all assets every half window with the given number of outliers per round; return the changes."""
    changes: list[Change] = []
    for number, rejected in enumerate(shares):
        outcomes = [outcome(name, Reason.OUTLIER if at < rejected else None) for at, name in enumerate(ASSETS)]
        changes += rejections.record(outcomes, start + number * WINDOW / 2)
    return changes


def test_a_rejection_is_reported_once_and_its_end_once() -> None:
    """A rejected exchange is reported once, and once when it recovers, however long either lasts."""
    rejections = Rejections(WINDOW)
    changes = rounds(rejections, [0] * 10 + [20] * 30)
    assert changes == [Change(LIAR, Rejection(Reason.OUTLIER, 20, 20))]
    assert str(rejections.of(LIAR)) == "outlier, 20 of 20 assets"
    assert rejections.of(GOOD) is None
    assert rounds(rejections, [0] * 30, 20 * WINDOW) == [Change(LIAR, None)]
    assert rejections.of(LIAR) is None


def test_one_bad_window_changes_nothing() -> None:
    """One bad window changes nothing, and neither does one good window among bad ones."""
    burst = [0] * 6 + [20, 0, 0] + [0] * 6
    assert rounds(Rejections(WINDOW), burst) == []
    changes = rounds(Rejections(WINDOW), [20] * 12 + [0, 0, 20] + [20] * 12)
    assert changes == [Change(LIAR, Rejection(Reason.OUTLIER, 20, 20))]


def test_the_reason_is_that_of_the_last_window() -> None:
    """The rejection has the most frequent reason of the last window; an update is no new change."""
    rejections = Rejections(WINDOW)
    rounds(rejections, [20] * 9)
    for number in range(6):
        outcomes = [outcome(name, Reason.TOO_OLD if at < 8 else None) for at, name in enumerate(ASSETS)]
        assert rejections.record(outcomes, (5 + number) * WINDOW) == []
    assert rejections.of(LIAR) == Rejection(Reason.TOO_OLD, 8, 20)


def test_two_that_disagree_are_both_reported() -> None:
    """Two exchanges that disagree are both reported, as it is unknown which is wrong."""
    rejections = Rejections(WINDOW)
    sides = (LeftOut("exchange1", Reason.DISAGREEMENT), LeftOut("exchange2", Reason.DISAGREEMENT))
    changes: list[Change] = []
    for number in range(8):
        changes += rejections.record([NoPrice(name, sides) for name in ASSETS], number * WINDOW)
    told = Rejection(Reason.DISAGREEMENT, 20, 20)
    assert changes == [Change("exchange1", told), Change("exchange2", told)]


def test_an_exchange_without_tickers_keeps_its_state() -> None:
    """An exchange without tickers keeps its state."""
    rejections = Rejections(WINDOW)
    for reason in (Reason.TIMEOUT, Reason.NOT_LISTED, Reason.LATE, Reason.BREAKER_OPEN):
        for number in range(9):
            assert rejections.record([outcome(name, reason) for name in ASSETS], number * WINDOW) == []
    assert rejections.of(LIAR) is None
    rounds(rejections, [20] * 9, 10 * WINDOW)
    for number in range(20, 40):
        assert rejections.record([outcome(name, Reason.TIMEOUT) for name in ASSETS], number * WINDOW) == []
    assert rejections.of(LIAR) is not None


def test_a_window_lasts_until_it_has_enough_tickers() -> None:
    """An exchange with one asset per window is judged at its fifth ticker, not at each."""
    rejections = Rejections(WINDOW)
    changes = [(number, rejections.record([outcome("a", Reason.BAD_PRICE)], number * WINDOW)) for number in range(25)]
    assert [number for number, change in changes if change] == [2 * LEAST - 1]


@given(some.lists(some.integers(0, 2), min_size=1, max_size=60))
def test_a_tenth_rejected_is_never_reported(rejected: list[int]) -> None:
    """A share of at most a tenth is never reported, in whatever order the tickers come."""
    assert rounds(Rejections(WINDOW), rejected) == []


@given(some.lists(some.integers(3, 20), max_size=60))
def test_a_state_stays_until_the_share_is_clearly_another(rejected: list[int]) -> None:
    """A rejection ends only below a tenth: the state does not flap between the two bounds."""
    rejections = Rejections(WINDOW)
    assert len(rounds(rejections, [20] * 9)) == 1
    assert rounds(rejections, rejected, 10 * WINDOW) == []


@given(some.lists(some.integers(0, 20), max_size=120))
def test_begins_and_ends_alternate(rejected: list[int]) -> None:
    """Begin and end alternate, at most one change per two windows, and `of` returns the last state."""
    rejections = Rejections(WINDOW)
    changes = rounds(rejections, rejected)
    assert [change.rejection is not None for change in changes] == [at % 2 == 0 for at in range(len(changes))]
    assert len(changes) <= len(rejected) / 4
    assert (rejections.of(LIAR) is not None) == (len(changes) % 2 == 1)


@given(some.floats(0.001, 86_400))
def test_a_window_has_bounds(interval: float) -> None:
    """A window lasts two of the shortest intervals, from 2 s to a minute."""
    assert 2.0 <= window_seconds(interval) <= 60.0
    assert window_seconds(5) == WINDOW
