"""VADER's scores, and their time."""

import time

import pytest

from aggregator.news.vader import open_vader
from tests.parts.limits import allowed

HEADLINE = "Bitcoin plunges 8% as an exchange halts withdrawals amid fears of insolvency, and traders panic"
SUMMARY = "Analysts fear more losses ahead, as weak markets hurt funds and nobody wants to buy. " * 3
SCORE = open_vader()


def test_good_and_bad_headlines() -> None:
    """They have the sign that a reader would give them."""
    assert SCORE("Bitcoin soars to a record as investors celebrate a great success") > 0.5
    assert SCORE(HEADLINE) < -0.5
    assert SCORE("The committee meets on Tuesday") == 0
    assert SCORE("") == 0


def test_a_headline_takes_at_most_a_millisecond() -> None:
    """Of CPU time, with 200 characters of summary."""
    text = f"{HEADLINE}. {SUMMARY[:200]}"
    SCORE(text)
    begun = time.process_time()
    for _ in range(100):
        SCORE(text)
    assert (time.process_time() - begun) / 100 < allowed(0.001)


@pytest.mark.parametrize("unit", ["😀", "🇪🇺", "👍🏽", "!", "not good ", ":) ", "漢", "never so good ", "A"])
def test_the_worst_texts_of_the_greatest_length(unit: str) -> None:
    """502 characters of anything take a few milliseconds; emoji would take 140."""
    begun = time.process_time()
    assert -1 <= SCORE(unit * (502 // len(unit))) <= 1
    assert time.process_time() - begun < allowed(0.01)
