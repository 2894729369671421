"""Which pushed news is accepted, as a table."""

from decimal import Decimal

import pytest

from aggregator.exchanges.dialect import Beat, News, Pushed, Refused
from aggregator.exchanges.push.book import KINDS, Book
from aggregator.models import Clock, Ticker
from tests.parts.examples import NOW


def pushed(order: int, trade: int = 0, price: str = "1", name: str = "BTC-USD") -> Pushed:
    """Return a ticker."""
    return Pushed(name, Decimal(price), Decimal(1), NOW, order, trade)


@pytest.mark.parametrize(
    ("news", "kinds"),
    [
        ([pushed(1), pushed(2)], ["ticker", "ticker"]),
        ([pushed(2), pushed(1), pushed(2)], ["ticker", "out_of_order", "ticker"]),
        ([pushed(1, name="ETH-USD")], ["junk"]),
        ([Beat("ETH-USD", 5)], ["junk"]),
        ([Refused("ETH-USD", "why")], ["refused"]),
        ([Refused("BTC-USD", "why"), Beat("BTC-USD")], ["refused", "beat"]),
        ([pushed(1, price="0"), pushed(1, price="NaN"), pushed(1, price="-1")], ["junk", "junk", "junk"]),
        ([Beat("BTC-USD", 9)], ["beat"]),  # nothing is held that could be out of date
        ([pushed(1, 5), Beat("BTC-USD", 0), Beat("BTC-USD", 0)], ["ticker", "beat", "beat"]),  # it does not say
        ([pushed(1, 5), Beat("BTC-USD", 5), Beat("BTC-USD", 5)], ["ticker", "beat", "beat"]),
        # a beat that overtakes its ticker is none, two in a row are a gap, also where trades go on between them
        ([pushed(1, 5), Beat("BTC-USD", 6), pushed(2, 6), Beat("BTC-USD", 6)], ["ticker", "beat", "ticker", "beat"]),
        ([pushed(1, 5), Beat("BTC-USD", 6), pushed(2, 6), Beat("BTC-USD", 7)], ["ticker", "beat", "ticker", "beat"]),
        ([pushed(1, 5), Beat("BTC-USD", 6), Beat("BTC-USD", 6)], ["ticker", "beat", "gap"]),
        ([pushed(1, 5), Beat("BTC-USD", 6), Beat("BTC-USD", 9)], ["ticker", "beat", "gap"]),
        ([pushed(1, 5), Beat("BTC-USD", 6), Beat("BTC-USD", 6), Beat("BTC-USD", 6)], ["ticker", "beat", "gap", "beat"]),
    ],
)
def test_what_the_news_are(news: list[News], kinds: list[str]) -> None:
    """The kind of news depends on the news before it on the same connection."""
    book = Book("coinbase")
    book.expect("BTC-USD", "btcusd", NOW)
    found = [book.update(one, NOW, NOW) for one in news]
    assert found == kinds
    assert set(found) <= set(KINDS)
    assert (book.held("BTC-USD") is not None) == ("ticker" in kinds and "gap" not in kinds)


def test_news_of_a_forgotten_pair_is_junk() -> None:
    """News of a pair that was unsubscribed is not stored."""
    book = Book("coinbase")
    book.expect("BTC-USD", "btcusd", NOW)
    assert book.update(pushed(1), NOW, NOW) == "ticker"
    held = book.held("BTC-USD")
    assert held is not None
    assert (held[0].symbol, held[1]) == ("btcusd", NOW)
    book.forget("BTC-USD")
    assert book.held("BTC-USD") is None
    assert book.update(pushed(2), NOW, NOW) == "junk"
    assert book.names == set()


def test_what_was_asked_for_and_never_heard_of() -> None:
    """A pair is unheard until a ticker or a refusal; a heartbeat does not count."""
    book = Book("coinbase")
    for name in ("BTC-USD", "ETH-USD", "SOL-USD"):
        book.expect(name, name.replace("-", "").lower(), NOW)
    assert book.unheard(NOW) == {}
    book.update(pushed(1), NOW + 1, NOW)
    book.update(Refused("ETH-USD", "why"), NOW + 1, NOW)
    book.update(Beat("SOL-USD"), NOW + 1, NOW)
    assert book.unheard(NOW + 2) == {"SOL-USD": "solusd"}
    book.expect("SOL-USD", "solusd", NOW + 2)
    assert book.unheard(NOW + 2) == {}
    assert [book.update(Beat("BTC-USD", 9), NOW + 3, NOW) for _ in range(2)] == ["beat", "gap"]
    assert book.unheard(NOW + 9) == {"SOL-USD": "solusd", "BTC-USD": "btcusd"}
    book.update(pushed(2), NOW + 4, NOW)
    book.forget("SOL-USD")
    assert book.unheard(NOW + 9) == {}


def test_a_ticker_without_a_time_gets_that_of_its_arrival() -> None:
    """A ticker without a time gets that of its arrival, is marked so, and replaces the one before."""
    book = Book("kraken")
    book.expect("BTC/USD", "btcusd", 5)
    for wall, price in ((NOW, "1"), (NOW + 1, "2")):
        assert book.update(Pushed("BTC/USD", Decimal(price), Decimal(1), None, 0), 5, wall) == "ticker"
        held = book.held("BTC/USD")
        assert held is not None
        assert held == (Ticker("kraken", "btcusd", Decimal(price), Decimal(1), wall, Clock.RECEIPT), 5)
