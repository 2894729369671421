"""What a venue says goes into answers and stores: it is short and can be printed."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import MOST_DETAIL, NotListed, RateLimited, printable


@given(st.text(max_size=500))
def test_a_text_from_outside(text: str) -> None:
    """Its printable beginning stays as it is, one character for one."""
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == min(len(text), MOST_DETAIL)
    assert all(one in (other, "?") for one, other in zip(shown, text, strict=False))


def test_an_error_of_a_venue() -> None:
    """Whatever its class, its message is such a text."""
    assert str(NotListed("no\nsuch\x1b[31m pair")) == "no?such?[31m pair"
    assert str(RateLimited("x" * 900_000, 3)) == "x" * MOST_DETAIL
