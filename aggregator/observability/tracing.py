"""Spans: what was done for whom and how long it took, for those who collect traces. By default nobody does.

`telemetry.py` has the tracer that sends them; everybody else knows only what is here.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol

Value = str | int | float
Kind = Literal["internal", "server", "client"]

NOTHING: Mapping[str, Value] = {}


class Span(Protocol):
    """Something being done."""

    def record(self, name: str, value: Value) -> None:
        """Add an attribute that was not known when it began."""

    def fail(self, why: str) -> None:
        """Say that it went wrong; an exception that ends it says so by itself."""


class Tracer(Protocol):
    """Takes the time of what is done."""

    def span(
        self,
        name: str,
        attributes: Mapping[str, Value] = NOTHING,
        kind: Kind = "internal",
        caller: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Span]:
        """Return what measures a `with` block: part of the span around it, or of the one `caller` tells by its headers.

        Names come from a short list, so that traces can be counted by them.
        """

    def headers(self) -> dict[str, str]:
        """Return what tells another process of the span we are in."""


class _Untraced:
    """Does nothing, at the price of a call."""

    def span(
        self,
        name: str,  # noqa: ARG002  # Tracer's signature
        attributes: Mapping[str, Value] = NOTHING,  # noqa: ARG002  # likewise
        kind: Kind = "internal",  # noqa: ARG002  # likewise
        caller: Mapping[str, str] | None = None,  # noqa: ARG002  # likewise
    ) -> AbstractContextManager[Span]:
        """Return what measures nothing."""
        return _NO_SPAN

    def headers(self) -> dict[str, str]:
        """Return none."""
        return {}


class _NoSpan(AbstractContextManager["_NoSpan"]):
    def __exit__(self, *_: object) -> None:
        """Leave whatever is raised alone."""

    def record(self, name: str, value: Value) -> None:
        """Forget it."""

    def fail(self, why: str) -> None:
        """Forget it."""


_NO_SPAN = _NoSpan()
UNTRACED: Tracer = _Untraced()
