"""The newest of values that come in any order, from the processors of several processes."""

import msgspec
import pytest

from aggregator.models import FUTURE_TOLERANCE
from aggregator.trades.newest_trades import NewerOfBoth, NewestTrades
from tests.parts.examples import NOW
from tests.parts.trade_api import KnownTrades, features, trade


def test_trades_in_any_order() -> None:
    """The last one in the order of time, venue and id is kept, of listed assets only."""
    newest = NewestTrades({"btcusdt"})
    newest.take_trades([trade(3), trade(5, timestamp=NOW + 1), trade(4, timestamp=NOW + 1), trade(9)], NOW)
    newest.take_trades([trade(7), trade(1, asset="nosuch")], NOW)
    kept = newest.quote("btcusdt")
    assert kept is not None
    assert (kept.timestamp, kept.id) == (NOW + 1, "5")
    assert newest.quote("nosuch") is None


def test_features_in_any_order() -> None:
    """A later end of the window is newer, then a later time of computing; only of listed assets."""
    newest = NewestTrades({"btcusdt"})
    first, later = features(window_end=NOW), features(window_end=NOW + 1)
    corrected = msgspec.structs.replace(later, updated_at=later.updated_at + 1)
    for value in (first, corrected, later, first):
        newest.take_features([value], NOW)
    assert newest.features("btcusdt") is corrected
    newest.take_features([features("nosuch")], NOW)
    assert newest.features("nosuch") is None


@pytest.mark.parametrize("ahead", [FUTURE_TOLERANCE, FUTURE_TOLERANCE + 1])
def test_values_of_a_wrong_clock(ahead: float) -> None:
    """What is too far in the future does not hide later values; what is in the tolerance does."""
    newest = NewestTrades({"btcusdt"})
    newest.take_trades([trade(1, timestamp=NOW + ahead)], NOW)
    newest.take_features([features(window_end=NOW + ahead)], NOW)
    newest.take_trades([trade(2)], NOW)
    newest.take_features([features()], NOW)
    quote, measured = newest.quote("btcusdt"), newest.features("btcusdt")
    assert quote is not None
    assert measured is not None
    assert (quote.timestamp == measured.window_end == NOW) == (ahead > FUTURE_TOLERANCE)


def test_the_newer_of_both() -> None:
    """Of equal values that of the first, so that its body is not encoded again."""
    first, second = KnownTrades(), KnownTrades()
    both = NewerOfBoth(first, second)
    assert (both.quote("btcusdt"), both.features("btcusdt")) == (None, None)
    second.quotes["btcusdt"], second.known["btcusdt"] = trade(1), features()
    assert (both.quote("btcusdt"), both.features("btcusdt")) == (trade(1), features())
    first.quotes["btcusdt"], first.known["btcusdt"] = trade(1), features()
    assert both.quote("btcusdt") is first.quotes["btcusdt"]
    assert both.features("btcusdt") is first.known["btcusdt"]
    second.quotes["btcusdt"], second.known["btcusdt"] = trade(2), features(window_end=NOW + 1)
    assert both.quote("btcusdt") is second.quotes["btcusdt"]
    assert both.features("btcusdt") is second.known["btcusdt"]
