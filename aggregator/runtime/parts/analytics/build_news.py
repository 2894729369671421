"""News: the desk that joins articles with trades, and a reader of each source, beside everything else."""

from aggregator.errors import CannotGoOn
from aggregator.exchanges.targets import exchange_targets
from aggregator.news.articles import SentimentItem
from aggregator.news.desk import NewsDesk
from aggregator.news.mentions import Mentions, read_names
from aggregator.news.reader import Reader
from aggregator.news.vader import open_vader
from aggregator.newsfeeds.http import session
from aggregator.newsfeeds.registry import Parts, open_sources
from aggregator.runtime.process import Process
from aggregator.settings import PREFIX, Settings
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.ports import EventReader


async def open_news(process: Process, events: EventReader, writer: EventWriter[SentimentItem]) -> NewsDesk:
    """Return the news desk; it and its sources run from now on. Raises CannotGoOn."""
    settings, now, metrics = process.settings, process.clock.now, process.metrics.news
    mentions = Mentions(process.catalog, read_names())
    desk = NewsDesk(mentions, open_vader(), events, writer.put, metrics, now, by_trade=settings.shares_log)
    await process.keep_running(desk)
    http = await process.stack.enter_async_context(session())
    parts = Parts(
        http, now, settings.news_interval, settings.finnhub_key, settings.news_companies, _mock_exchange(settings)
    )
    for source in open_sources(settings.news_targets, parts):
        await process.keep_running(Reader(source, desk, metrics, now))
    return desk


def _mock_exchange(settings: Settings) -> str:
    """Return the address of the first mock exchange; empty where no source needs it. Raises CannotGoOn."""
    if not any(one.kind == "mock" and not one.url for one in settings.news_targets):
        return ""
    for one in exchange_targets(settings.exchanges):
        if one.dialect == "mock" and one.url:
            return one.url
    raise CannotGoOn(
        f"{PREFIX}NEWS names mock, and {PREFIX}EXCHANGES no mock exchange", "name one, as mock+http://host:port"
    )
