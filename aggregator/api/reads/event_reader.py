"""Reading stored events for a response: of the last hours, or of a range in pages."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from starlette.requests import Request

from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS
from aggregator.api.reads.store_time import in_time
from aggregator.api.routing.description import Parameter, query
from aggregator.api.routing.responses import NO_EVENTS, whole
from aggregator.trades.ports import EventReader, StoredEvent

T = TypeVar("T")

USUAL_HOURS, MOST_HOURS = 24, 168
_HOUR = 3600.0


def hours_parameter(rows: str) -> Parameter:
    """Return the description of `hours`; `rows` are what is returned."""
    return query(
        "hours",
        f"Hours before now from which {rows} are returned, by their own time",
        {"type": "integer", "minimum": 1, "maximum": MOST_HOURS, "default": USUAL_HOURS},
        USUAL_HOURS,
    )


def hours_of(request: Request) -> int:
    """Return `hours`. Raises the response 400."""
    return whole(request, "hours", USUAL_HOURS, MOST_HOURS)


class StoredEvents:
    """Reads events. Raises the response 503 if the store fails, or takes longer than `store_seconds`."""

    def __init__(self, reader: EventReader, now: Callable[[], float], store_seconds: float = STORE_SECONDS) -> None:
        self._reader = reader
        self._now = now
        self._store_seconds = store_seconds

    async def last_hours(
        self, topic: str, asset: str, hours: int, limit: int, ahead: float = CLOCK_MARGIN
    ) -> list[StoredEvent]:
        """Return the newest events of the last hours, at most `limit`, and of `ahead` seconds after now."""
        now = self._now()
        return await self.page(topic, asset, now - hours * _HOUR, now + ahead, limit, newest_first=True)

    async def page(
        self,
        topic: str,
        asset: str,
        start: float,
        end: float,
        limit: int,
        *,
        newest_first: bool,
        after: tuple[float, str] | None = None,
    ) -> list[StoredEvent]:
        """As `EventReader.events`."""
        call = self._reader.events(topic, asset, start, end, limit, newest_first=newest_first, after=after)
        return await in_time(call, self._store_seconds, NO_EVENTS)


def readable(events: Iterable[StoredEvent], decoder: msgspec.json.Decoder[T]) -> list[T]:
    """Return what events say, without those that another version of the service has stored in another form."""
    found = []
    for event in events:
        try:
            found.append(decoder.decode(event.body))
        except msgspec.MsgspecError:
            continue
    return found
