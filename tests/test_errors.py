"""Text from an exchange goes into responses and stores: it is short and printable."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import MOST_DETAIL, CannotGoOn, NotListed, RateLimited, printable


@given(st.text(max_size=500))
def test_a_text_from_outside(text: str) -> None:
    """The text is cut, and each unprintable character becomes one `?`."""
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == min(len(text), MOST_DETAIL)
    assert all(one in (other, "?") for one, other in zip(shown, text, strict=False))


def test_an_error_that_ends_the_process() -> None:
    """The text of a library may end with a full stop; the remedy follows in the same sentence."""
    assert str(CannotGoOn("Connection refused.", "start it")) == "Connection refused; start it"


def test_an_error_of_a_venue() -> None:
    """The message of every exchange error is short and printable."""
    assert str(NotListed("no\nsuch\x1b[31m pair")) == "no?such?[31m pair"
    assert str(RateLimited("x" * 900_000, 3)) == "x" * MOST_DETAIL
