"""The judge of chaos runs finds what is wrong, and nothing in correct answers."""

import json
from decimal import Decimal

import pytest

from aggregator.prices.tiers import Cadence
from mock_exchange.symbols import open_market
from tests.chaos.truth import Truth, Verdict, judge
from tests.chaos.wire import Answered
from tests.parts.exchanges import NAMES
from tests.parts.process import ROOT

NOW = 1_795_000_000.0
INTERVAL = 1.0
WINDOW = 2.0
TRUTH = Truth(open_market(0, ROOT / "symbols.csv"), NAMES, {"hot": Cadence(INTERVAL)})


def honest(timestamp: float) -> Decimal:
    """Return a venue's own ticker of a moment ago."""
    return TRUTH.market.venue_ticker("exchange1", "btcusdt", timestamp - 0.01).price


def answer(
    sent: float = NOW, age: float = 0.5, *, stale: bool = False, factor: str = "1", status: int = 200
) -> Answered:
    """Return an answer with a price of this age."""
    timestamp = sent - age
    shown = {"asset": "btcusdt", "timestamp": timestamp, "stale": stale, "refresh_tier": "hot", "sources": 1}
    price = honest(timestamp) * Decimal(factor)
    body = json.dumps(shown)[:-1] + f',"price":{price:f}}}'
    return Answered("/prices/btcusdt", sent, sent + 0.001, status, body=body.encode())


def verdict(*answers: Answered, may_refuse: bool = False) -> Verdict:
    """Judge the answers."""
    return judge(answers, TRUTH, WINDOW, may_refuse=may_refuse)


def test_right_answers_pass() -> None:
    """Fresh, stale and confirmed answers are correct when their flags match their age."""
    fair = verdict(answer(), answer(NOW + 1, 1.4999), answer(NOW + 2, 1.6, stale=True, status=304))
    assert fair.broken == []
    assert (fair.requests, fair.prices, fair.stale) == (3, 3, 1)
    assert fair.worst_age == pytest.approx(1.601)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (answer(factor="1.003"), "price"),
        (answer(factor="0.997"), "price"),
        (answer(age=1.51), "not called stale"),
        (answer(age=1.4, stale=True), "called stale"),
        (answer(age=6.01, stale=True), "is gone"),
        (answer(status=500), "500"),
        (answer(status=0), "status"),
    ],
)
def test_a_wrong_answer_is_named(wrong: Answered, says: str) -> None:
    """Each wrong answer is named, among others that are correct."""
    (one,) = verdict(answer(NOW - 9), wrong, answer(NOW + 9)).broken
    assert says in one


def test_a_price_that_goes_back_in_time() -> None:
    """A later request must not get an older price; a concurrent one may."""
    newer, older = answer(NOW, 0.2), answer(NOW + 0.0005, 0.6)
    assert verdict(newer, older).broken == []
    (one,) = verdict(newer, answer(NOW + 0.1, 0.6)).broken
    assert "back in time" in one


def test_a_refusal() -> None:
    """A 503 with Retry-After is correct only where it is allowed."""
    refusal = Answered("/prices/btcusdt", NOW, NOW, 503, retry_after=True)
    assert verdict(refusal, may_refuse=True).broken == []
    assert verdict(refusal).broken
    assert verdict(Answered("/prices/btcusdt", NOW, NOW, 503), may_refuse=True).broken


def test_a_ticker_nobody_gave() -> None:
    """Each ticker at /sources must equal its venue's ticker, to the last digit."""
    for off, broken in (("0", 0), ("0.01", 1)):
        source = {"exchange": "exchange1", "timestamp": NOW - 0.51}
        body = answer().body.decode()
        price = honest(NOW - 0.5) + Decimal(off)
        listed = json.dumps(source)[:-1] + f',"price":{price:f}}}'
        shown = Answered(
            "/prices/btcusdt/sources",
            NOW,
            NOW,
            200,
            body=body.replace('"sources": 1', f'"sources": [{listed}]').encode(),
        )
        assert len(verdict(shown).broken) == broken
