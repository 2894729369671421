"""The newest price of each asset: no answer is older."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import FUTURE_TOLERANCE, Price, Tier
from aggregator.newest import NewestPrices
from tests.parts.examples import NOW, price

TTL = dict.fromkeys(Tier, 10.0)


class Parts:
    """The newest prices, with clocks that the test moves."""

    def __init__(self) -> None:
        self.clock, self.now = 0.0, NOW
        self.prices = NewestPrices(TTL, lambda: self.clock, lambda: self.now)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "hold", "expire", "release"]),
            st.sampled_from(["btcusdt", "ethusdt"]),
            st.integers(min_value=-20, max_value=3),
        )
    )
)
def test_no_answer_is_older_than_one_before(steps: list[tuple[str, str, int]]) -> None:
    """No answer is older than one before, in whatever order prices are read, published, expire and are released."""
    parts = Parts()
    answered: dict[str, float] = {}
    for step, asset, seconds in steps:
        if step == "read":
            found: list[Price | None] = [parts.prices.at_least(price(asset, NOW + seconds))]
        elif step == "hold":
            parts.prices.hold([price(asset, NOW + seconds)])
            found = [parts.prices.peek(asset)]
        else:
            parts.clock += 11 if step == "expire" else 0
            if step == "release":
                parts.prices.release_all()
            assert parts.prices.peek(asset) is None or step == "expire"
            found = [parts.prices.known(asset)]
        for one in found:
            if one is not None:
                assert one.timestamp >= answered.get(asset, 0.0)
                answered[asset] = one.timestamp


def test_of_two_with_one_timestamp_the_first_stays() -> None:
    """Of two prices with the same timestamp the first stays: clients may have it, and history has it."""
    parts = Parts()
    first, second = price(amount="1"), price(amount="2")
    assert parts.prices.hold([first]) == [first]
    assert parts.prices.hold([second]) == []
    assert parts.prices.at_least(second) == first
    assert parts.prices.peek("btcusdt") == first


def test_a_price_made_by_a_wrong_clock_hides_no_other() -> None:
    """After a wrong clock is corrected, a price that is ahead of it is no longer known."""
    parts = Parts()
    parts.now += 3600
    ahead = price(timestamp=NOW + 3600)
    parts.prices.hold([ahead])
    parts.now = NOW
    assert parts.prices.known("btcusdt") is None
    right = price()
    assert parts.prices.is_news(right)
    assert parts.prices.hold([right]) == [right]
    assert parts.prices.hold([ahead]) == []
    assert parts.prices.at_least(ahead) == ahead  # returned to the caller, which does not serve it
    assert parts.prices.known("btcusdt") == right


def test_a_little_ahead_is_in_order() -> None:
    """A price within the tolerance ahead of our clock is normal: clocks of machines differ."""
    parts = Parts()
    ahead = price(timestamp=NOW + FUTURE_TOLERANCE)
    assert parts.prices.hold([ahead]) == [ahead]
    assert parts.prices.known("btcusdt") == ahead


def test_changed_since() -> None:
    """`changed_since` returns the last change first, or None for more changes than are kept."""
    parts = Parts()
    begun = parts.prices.changed
    parts.prices.hold([price(), price("ethusdt"), price()])
    assert parts.prices.changed_since(begun) == ["ethusdt", "btcusdt"]
    assert parts.prices.changed_since(parts.prices.changed) == []
    parts.prices.hold([price(timestamp=NOW - 20_001 + number) for number in range(1, 20_001)])
    assert parts.prices.changed_since(begun) == ["ethusdt", "btcusdt"]  # the other prices were older
    parts.now += 20_001
    parts.prices.hold([price(timestamp=NOW + number) for number in range(1, 20_001)])
    assert parts.prices.changed_since(begun) is None
