"""The plants and the invented news of the market over HTTP; the same at each venue.

`GET /mock/plants?since=1764400000&until=1764400600` answers what is planted, for checks:

    {"plants":[{"kind":"drop","asset":"adausdt","start":1764400000.123,"end":1764400500.123,"size":-0.032,
                "venue":null,"symbols":["adausdt","adausdc"]},...]}

in the order of `start`: the plants that overlap [since, until), the future's too. `plants` has the meaning of the
fields. The default of `until` is the time of the venue's clock, that of `since` 600 s before `until`. They are unix
seconds, at most 3,600 s apart.

`GET /mock/news?since=1764400000` answers the articles published in [since, now), oldest first:

    {"articles":[{"id":"mock-1764400012345-adausdt","headline":"…","summary":"…","source":"mock",
                  "url":"https://news.invalid/1764400012345-adausdt","published_at":1764400012.345,
                  "symbols":["adausdt"]},...]}

at most the last 100 of the last hour; all of these without `since`. Only the faults `news_…` change these answers, so
that news can fail while tickers and trades do not.
"""

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from .answers import as_json, refusal
from .faults import FaultSwitch
from .news import LONGEST_AGO, articles
from .plants import Plants

PLANTS, NEWS = "/mock/plants", "/mock/news"
LONGEST_RANGE = 3600.0  # seconds of a call for plants
USUAL_RANGE = 600.0
_TIME = re.compile(r"\d{1,10}(\.\d{1,9})?", re.ASCII)
_WORDS = "must be unix seconds, such as 1764400000 or 1764400000.5"


class PlantedRoutes:
    """Answers calls for plants and news. `names` are asset names by symbol, `pause` waits for some seconds."""

    def __init__(
        self,
        plants: Plants,
        names: Mapping[str, str],
        switch: FaultSwitch,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._plants = plants
        self._names = names
        self._switch = switch
        self._clock = clock
        self._pause = pause

    async def plants(self, request: web.BaseRequest) -> web.Response:
        """Answer with the plants of a range of time."""
        until = _time(request, "until", self._switch.clock(self._clock()))
        if until is None:
            return refusal(400, f"until {_WORDS}")
        since = _time(request, "since", until - USUAL_RANGE)
        if since is None:
            return refusal(400, f"since {_WORDS}")
        if not 0 <= until - since <= LONGEST_RANGE:
            return refusal(400, f"until must be 0 to {LONGEST_RANGE:g} seconds after since")
        found = [plant._asdict() for plant in self._plants.between(since, until)]
        return as_json(msgspec.json.encode({"plants": found}))

    async def news(self, request: web.BaseRequest) -> web.Response:
        """Answer with the latest articles, with the faults of news."""
        faults, occurs = self._switch.faults, self._switch.occurs
        if faults.news_latency_ms:
            await self._pause(faults.news_latency_ms / 1000)
        if occurs(faults.news_error_rate):
            return refusal(503, "Fault: news_error_rate")
        if occurs(faults.news_garbage_rate):
            return as_json(b'<html>\xff\x00{"articles":')
        now = self._switch.clock(self._clock())
        since = _time(request, "since", now - LONGEST_AGO)
        if since is None:
            return refusal(400, f"since {_WORDS}")
        return as_json(msgspec.json.encode({"articles": articles(self._plants, self._names, since, now)}))


def _time(request: web.BaseRequest, name: str, default: float) -> float | None:
    """Return a parameter in unix seconds; None if it is no such number."""
    text = request.query.get(name)
    if text is None:
        return default
    return float(text) if _TIME.fullmatch(text) else None
