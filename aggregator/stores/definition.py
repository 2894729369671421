"""Registration of a history: the form of its URL, the check of a URL, and the function that makes the history."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import Tracer
from aggregator.ports import History

FILE_REMEDY = "its folder must exist, be writable and have free space; else name another file"


class OpenStep(NamedTuple):
    """A step of opening a store. Where it raises StoreError, the operator is shown `remedy` and the setting's name."""

    run: Callable[[], Awaitable[None]]
    remedy: str
    setting: str = "history_url"


class CreatedHistory(NamedTuple):
    """A history that is not open yet. The steps open it, in this order; `history.close` may be called at any time."""

    history: History
    open_steps: Sequence[OpenStep]


class HistoryParts(msgspec.Struct, frozen=True):
    """The parts that a history may use in addition to its URL. `retention` is in seconds; None: for good."""

    retention: float | None
    outbox_path: Path
    outbox_max_bytes: int
    metrics: Metrics
    tracer: Tracer
    now: Callable[[], float]
    postgres_password: SecretStr = SecretStr("")


class HistoryStore(msgspec.Struct, frozen=True):
    """A kind of history.

    `example` is a URL for error messages, `form` the URL with its options for the documentation. `check` raises
    ValueError with a message that has no secret of the URL in it. `create` gets a URL that `check` accepts.
    """

    example: str
    form: str
    check: Callable[[str], object]
    create: Callable[[str, HistoryParts], CreatedHistory]


class Kind(Protocol):
    """A kind of stores; the fields are those of `HistoryStore`."""

    @property
    def example(self) -> str:
        """A URL for error messages."""

    @property
    def form(self) -> str:
        """The URL with its options."""


K = TypeVar("K", bound=Kind)


def kind_of(url: str, kinds: Mapping[str, K]) -> K:
    """Return the kind of the URL's scheme. Raises ValueError where there is none."""
    kind = kinds.get(url.partition("://")[0])
    if kind is None:
        raise ValueError(f"must be {_any_of(one.example for one in kinds.values())}")
    return kind


def forms_of(kinds: Mapping[str, K]) -> str:
    """Return the form of every kind's URL, for the documentation of settings."""
    return _any_of(one.form for one in kinds.values())


def _any_of(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)}{',' if len(first) > 1 else ''} or {last}" if first else last


def has_valid_port(url: str) -> bool:
    """Whether the URL names no port, or one from 1 to 65535."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
