"""Limits of tests: the time that a promise may take, and the number of random examples."""

import os

STRICT = os.environ.get("STRICT") == "1"
TIMES = 1 if STRICT else 8
FULL = os.environ.get("CHAOS") == "full"


def allowed(seconds: float) -> float:
    """Return the time limit of a test for what takes at most `seconds` on a machine with nothing else to do.

    A test that shows that something ends at all, or comes at all, is not about speed: on a busy machine it gets eight
    times as long. `STRICT=1`, which `./test.sh chaos` sets, holds each limit exactly.
    """
    return TIMES * seconds


def examples(most: int) -> int:
    """Return the number of examples of a property test: `most` with `CHAOS=full`, an eighth of it otherwise."""
    return most if FULL else most // 8
