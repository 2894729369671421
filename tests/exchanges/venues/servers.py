"""The local servers of the registered venues: `<name>.py` beside this file has the server and the feed of a venue."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar

from aggregator.exchanges.registry import VENUES
from tests.exchanges.venues.base import Venue
from tests.exchanges.venues.sockets import Feed

T = TypeVar("T")

SERVED_ELSEWHERE = {"mock"}  # mock_exchange/ serves it, as a process


def server_of(name: str) -> type[Venue] | None:
    """Return the venue's REST server; None if there is no file or no such class."""
    return _found(name, Venue)


def feed_of(name: str) -> type[Feed] | None:
    """Return the venue's feed; None if there is no file or no such class."""
    return _found(name, Feed)  # type: ignore[type-abstract]  # only its subclasses are made


def _found(name: str, kind: type[T]) -> type[T] | None:
    path = f"{__package__}.{name}"
    if find_spec(path) is None:
        return None
    classes = [one for one in vars(import_module(path)).values() if isinstance(one, type) and issubclass(one, kind)]
    return next((one for one in classes if one is not kind), None)


SERVERS: Mapping[str, type[Venue]] = {
    name: server for name in VENUES if name not in SERVED_ELSEWHERE and (server := server_of(name)) is not None
}
FEEDS: Mapping[str, type[Feed]] = {
    name: feed for name in VENUES if name not in SERVED_ELSEWHERE and (feed := feed_of(name)) is not None
}
