"""The sentiment of a text by VADER, a word list with rules; the extra `news`. The only module that imports it."""

import unicodedata
from collections.abc import Callable

_NOT_A_SYMBOL = 0x2000  # VADER has words for symbols above this character only


def open_vader() -> Callable[[str], float]:
    """Read the word list; return the function that gives a text's compound score, from -1 to 1.

    The function leaves emoji out: VADER replaces each by a description, and 500 of them take 140 ms.
    """
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415  # only where news are read

    scores = SentimentIntensityAnalyzer().polarity_scores

    def score(text: str) -> float:
        return float(scores(text if text.isascii() else _without_symbols(text))["compound"])

    return score


def _without_symbols(text: str) -> str:
    return "".join(
        " " if ord(one) > _NOT_A_SYMBOL and unicodedata.category(one) in ("So", "Sk", "Sm") else one for one in text
    )
