"""The hash of a trade without an id, against a plain computation of it."""

from decimal import Decimal
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from aggregator.trades.validation import hashed_id

TIMES = st.integers(10**15, 10**17).map(lambda us: us / 1e6) | st.floats(allow_nan=False) | st.floats(1e9, 4e9)


@given(TIMES, st.decimals(allow_nan=False), st.integers() | st.none())
def test_a_hashed_id(timestamp: float, price: Decimal, sequence: int | None) -> None:
    """It is a hash of the texts of the fields, whatever way the text of the time is made."""
    fields = ("btcusdt", price, None, timestamp, "kraken", "BUY", sequence)
    expected = blake2b("\x1f".join(map(str, fields)).encode(), digest_size=12).hexdigest()
    assert hashed_id(*fields) == expected
