"""Plain text of texts from outside."""

import time

import pytest

from aggregator.news.text import plain
from tests.parts.limits import allowed


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("<p>Bitcoin &amp; Ether <b>rise</b></p>", "Bitcoin & Ether rise"),
        ("&lt;p&gt;Bitcoin&lt;/p&gt; &amp;amp; Ether", "Bitcoin & Ether"),
        ("fees < 5 % and > 3 %", "fees < 5 % and > 3 %"),
        ("before<script>alert('<b>')</script> after", "before after"),
        ("before<style>p {}", "before"),
        ("cut <a href='https://exam", "cut"),
        ("<img src=x onerror=alert(1)>Bitcoin", "Bitcoin"),
        ("a\x00b\u202ec\ud800d\n\te", "a b c d e"),
        ("&#0;&#xD800;&nosuch; x", "\ufffd\ufffd&nosuch; x"),
        ("", ""),
    ],
)
def test_markup_is_removed(sent: str, expected: str) -> None:
    """Tags, scripts, entities and control characters go; signs that look like tags stay."""
    assert plain(sent, 100) == expected
    assert plain(sent, 100).encode().decode() == expected  # it has no surrogates


@pytest.mark.parametrize("unit", ["x", "<", "&", "<a ", "<script>", "&lt;", "&#", "<style></style>", " ", "<b>x</b>"])
def test_a_long_text_is_read_in_part(unit: str) -> None:
    """A megabyte of anything takes no longer than its beginning."""
    begun = time.process_time()
    assert len(plain(unit * (1_000_000 // len(unit)), 1000)) <= 1000
    assert time.process_time() - begun < allowed(0.1)
