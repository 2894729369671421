"""Tracing ports: spans around requests and calls. By default they do nothing (`UNTRACED`).

`telemetry.py` implements them with OpenTelemetry; the other modules know only this interface.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol

Value = str | int | float
Kind = Literal["internal", "server", "client"]

NOTHING: Mapping[str, Value] = {}


class Span(Protocol):
    """One operation under way."""

    def record(self, name: str, value: Value) -> None:
        """Add an attribute that was not known at the start."""

    def fail(self, why: str) -> None:
        """Mark the operation as failed, with the reason; an exception does so by itself."""


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self,
        name: str,
        attributes: Mapping[str, Value] = NOTHING,
        kind: Kind = "internal",
        caller: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Span]:
        """Return a span for a `with` block: a child of the current span, or of the one in the `caller`'s headers.

        Names come from a fixed list, so that spans can be grouped by them.
        """

    def headers(self) -> dict[str, str]:
        """Return the headers that tell another process of the current span."""


class _Untraced:
    """The tracer that makes no spans."""

    def span(
        self,
        name: str,  # noqa: ARG002  # Tracer's signature
        attributes: Mapping[str, Value] = NOTHING,  # noqa: ARG002  # a tracer that traces nothing takes all
        kind: Kind = "internal",  # noqa: ARG002  # the signature is that of a tracer
        caller: Mapping[str, str] | None = None,  # noqa: ARG002  # no span continues the caller's
    ) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        return _NO_SPAN

    def headers(self) -> dict[str, str]:
        """Return no headers."""
        return {}


class _NoSpan(AbstractContextManager["_NoSpan"]):
    def __exit__(self, *_: object) -> None:
        """Let exceptions through."""

    def record(self, name: str, value: Value) -> None:
        """Do nothing."""

    def fail(self, why: str) -> None:
        """Do nothing."""


_NO_SPAN = _NoSpan()
UNTRACED: Tracer = _Untraced()
