"""GET /sentiment/{asset}: articles about an asset, their sentiment, and how strongly volume moved with them."""

import time
from collections.abc import Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.reads.event_reader import USUAL_HOURS, StoredEvents, hours_of, hours_parameter, readable
from aggregator.api.reads.history_reader import STORE_SECONDS
from aggregator.api.routing.description import Response, json
from aggregator.api.routing.responses import Code, Refusal, answer, asset_of, refuse
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    NO_EVENTS_NOW,
    NO_STORE,
    NOT_LISTED,
    SYMBOL,
    refusal,
)
from aggregator.libraries.extras import install
from aggregator.news.articles import MOST_AHEAD, SentimentItem
from aggregator.news.topic import SENTIMENT
from aggregator.prices.tiers import Catalog
from aggregator.trades.ports import EventReader

MOST_ITEMS = 50
MOST_COUNTED = 1000
NOT_INSTALLED = Refusal(f"The libraries of news are not installed; {install('news')}", Code.NEWS_OFF)
_ITEM = {
    "asset": SYMBOL,
    "id": "mock:41",
    "headline": "Bitcoin soars to a record as investors celebrate",
    "source": "Mock Wire",
    "url": "https://example.com/41",
    "published_at": 1760000000.5,
    "sentiment": 0.6124,
    "label": "positive",
    "correlation_strength": "strong",
}
_DECODER = msgspec.json.Decoder(SentimentItem)


class SentimentSummary(msgspec.Struct, frozen=True):
    """The number of the counted articles with each label, and of those with a strong correlation."""

    positive: int
    negative: int
    neutral: int
    strong_correlations: int


class SentimentPage(msgspec.Struct, frozen=True):
    """The newest articles about an asset. `count` and `summary` are of the newest 1,000, `items` are the newest 50."""

    asset: str
    hours: int
    count: int
    items: Sequence[SentimentItem]
    summary: SentimentSummary


class SentimentRoute:
    """The route for articles. A read of the store may take `store_seconds`. `off`: why news cannot be read."""

    def __init__(
        self,
        catalog: Catalog,
        events: EventReader,
        now: Callable[[], float] = time.time,
        off: Refusal | None = None,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._events = StoredEvents(events, now, store_seconds)
        self._off = off

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        "/sentiment/{asset:path}",
        label="/sentiment",
        operation_id="getSentiment",
        tag="trades",
        summary="Articles about an asset, their sentiment, and the volume that moved with them",
        description="The sentiment is VADER's compound score of the headline and the first 200 characters of the"
        " summary. `correlation_strength` is not `none` if a trade with a volume_zscore of 2 or more was within 60 s of"
        " the publication: `strong` for a sentiment of 0.5 or more, of either sign, and a z-score of 3 or more,"
        " `moderate` for a sentiment of 0.2 or more, else `weak`.",
        parameters=[
            ASSET,
            hours_parameter("articles"),
        ],
        responses={
            200: Response(
                "The articles, newest first",
                (
                    json(
                        SentimentPage,
                        {
                            "asset": SYMBOL,
                            "hours": USUAL_HOURS,
                            "count": 1,
                            "items": [_ITEM],
                            "summary": {"positive": 1, "negative": 0, "neutral": 0, "strong_correlations": 1},
                        },
                    ),
                ),
                (NO_STORE,),
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            501: refusal("The libraries that news need are not installed", NOT_INSTALLED),
            503: NO_EVENTS_NOW,
        },
        is_compressed=True,
    )
    async def sentiment(self, request: Request) -> HttpResponse:
        """Return the articles."""
        if self._off is not None:
            raise refuse(501, self._off)
        asset = asset_of(request, self._catalog)
        hours = hours_of(request)
        stored = await self._events.last_hours(SENTIMENT.name, asset.symbol, hours, MOST_COUNTED, MOST_AHEAD)
        found = readable(stored, _DECODER)
        return answer(SentimentPage(asset.symbol, hours, len(found), found[:MOST_ITEMS], _summary(found)))


def _summary(items: Sequence[SentimentItem]) -> SentimentSummary:
    labels = [item.label for item in items]
    strong = sum(item.correlation_strength == "strong" for item in items)
    return SentimentSummary(labels.count("positive"), labels.count("negative"), labels.count("neutral"), strong)
