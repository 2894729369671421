"""The book has the newest ticker of each exchange, in whatever order answers come."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import FUTURE_TOLERANCE, LeftOut, Reason, Ticker
from aggregator.prices.ticker_book import TickerBook
from tests.parts.examples import NOW, ticker

NAMES = ("exchange1", "exchange2", "exchange3")
times = st.integers(-20, 4).map(lambda seconds: NOW + seconds)
tickers = st.builds(lambda name, time: ticker(name, timestamp=time), st.sampled_from(NAMES), times)


def test_an_exchange_without_an_answer_is_late() -> None:
    """Each exchange has one answer from the start, in the order of the names."""
    book = TickerBook(NAMES)
    book.record("btcusdt", [ticker("exchange2")], NOW)
    late = [LeftOut(name, Reason.LATE, "no ticker yet") for name in NAMES]
    assert book.answers("btcusdt") == [late[0], ticker("exchange2"), late[2]]
    assert book.answers("ethusdt") == late


@given(st.lists(tickers, max_size=30))
def test_the_newest_ticker_of_each_exchange(arriving: list[Ticker]) -> None:
    """Random tickers in random order leave the newest of each exchange; of two with one time, the later arrival."""
    book = TickerBook(NAMES)
    for one in arriving:
        book.record("btcusdt", [one], NOW)
    for name, answer in zip(NAMES, book.answers("btcusdt"), strict=True):
        own = [one for one in arriving if one.exchange == name]
        newest = max((one.timestamp for one in own), default=None)
        assert (answer.timestamp if isinstance(answer, Ticker) else None) == newest
        assert not own or answer is [one for one in own if one.timestamp == newest][-1]


def test_a_failure_replaces_a_ticker_unless_it_is_lateness() -> None:
    """The schedule has asked and got no ticker, so there is none; an exchange that is only late keeps its last one."""
    book = TickerBook(NAMES)
    book.record("btcusdt", [ticker("exchange1"), ticker("exchange2")], NOW)
    failed, late = LeftOut("exchange1", Reason.TIMEOUT), LeftOut("exchange2", Reason.LATE, "not within 0.25 s")
    book.record("btcusdt", [failed, late], NOW)
    assert book.answers("btcusdt")[:2] == [failed, ticker("exchange2")]


def test_a_ticker_ahead_of_our_clock_does_not_hide_later_ones() -> None:
    """A ticker an hour ahead is replaced by a sound one; one within the tolerance is not replaced by an older one."""
    book = TickerBook(NAMES)
    ahead, slightly = ticker(timestamp=NOW + 3600), ticker(timestamp=NOW + FUTURE_TOLERANCE)
    for arriving, held in ((ahead, ahead), (ticker(), ticker()), (slightly, slightly), (ticker(), slightly)):
        book.record("btcusdt", [arriving], NOW)
        assert book.answers("btcusdt")[0] == held
