"""News in a process without the extra `news`."""

import pytest

from aggregator.api.events.sentiment import NOT_INSTALLED
from aggregator.runtime.parts import unavailable
from aggregator.settings import Settings


@pytest.mark.parametrize(("role", "is_off"), [("all", True), ("processor", True), ("api", False)])
def test_who_needs_the_extra(monkeypatch: pytest.MonkeyPatch, role: str, is_off: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Processes that process trades: an API process answers from the store."""
    monkeypatch.setattr(unavailable, "has_extra", lambda _: False)
    given = {"role": role, "cache_url": "redis://localhost", "trades_log": "kafka://localhost:9092/trades"}
    off = unavailable.why_no_news(Settings.model_validate(given))
    assert off == (NOT_INSTALLED if is_off else None)
