"""Documented messages in which one value is another one or is missing, and values that stand in no documentation."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st


def junk(texts: Sequence[str]) -> st.SearchStrategy[object]:
    """Return JSON values of every kind, some with one of the texts inside."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(texts)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )


@st.composite
def mutilated(draw: st.DrawFn, texts: Sequence[str]) -> str:
    """Return one of the documents in which one value, at any depth, is another one or is missing."""
    whole = json.loads(draw(st.sampled_from(texts)))
    place: Any = whole  # a dict or a list
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.booleans()):
            break
        place = inner
    if draw(st.booleans()):
        del place[key]
    else:
        place[key] = draw(junk(texts))
    return json.dumps(whole)
