"""The reader of one source of news: calls it again and again, with longer pauses while it fails."""

import asyncio
import random
from collections.abc import Callable

import structlog

from aggregator.news.desk import NewsDesk
from aggregator.news.ports import Source, SourceError
from aggregator.observability.metrics.news import NewsMetrics

LONGEST_CALL = 60.0  # seconds, whatever the source does
LONGEST_PAUSE = 600.0  # seconds, of our own
LONGEST_ASKED = 3600.0  # seconds, where the source asks for a pause
_MOST_INTERVALS = 20  # of our own pause


class Reader:
    """Passes the articles of a source to the desk. Failures of any kind are logged and counted, and never raised."""

    def __init__(self, source: Source, desk: NewsDesk, metrics: NewsMetrics, now: Callable[[], float]) -> None:
        self._source = source
        self._desk = desk
        self._metrics = metrics
        self._now = now
        self._failures = 0  # in a row
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Read the source again and again; never returns."""
        while True:
            pause = await self.read_once()
            await asyncio.sleep(pause)

    async def read_once(self) -> float:
        """Read the source once; return the seconds to wait before the next time."""
        try:
            async with asyncio.timeout(LONGEST_CALL):
                articles = await self._source.read()
        except SourceError as error:
            return self._failed(error)
        except TimeoutError:
            return self._failed(SourceError("timeout", f"no articles within {LONGEST_CALL:g} s"))
        except Exception as error:  # noqa: BLE001  # whatever a source sends, prices and trades go on
            return self._failed(SourceError("undecodable", f"{type(error).__name__}: {error}"))
        self._answered()
        await self._desk.add(self._source.name, articles)
        return self._source.interval

    def _failed(self, error: SourceError) -> float:
        source = self._source
        self._metrics.source_errors.labels(source.name, error.reason).inc()
        if not self._failures:
            self._log.warning("news_source_failed", source=source.name, reason=error.reason, error=str(error))
        self._failures += 1
        return pause_after(self._failures, source.interval, error.seconds) * random.uniform(1, 1.1)  # noqa: S311  # no secret

    def _answered(self) -> None:
        self._metrics.source_read.labels(self._source.name).set(self._now())
        if self._failures:
            self._log.info("news_source_answers_again", source=self._source.name, failures=self._failures)
            self._failures = 0


def pause_after(failures: int, interval: float, asked: float | None) -> float:
    """Return the seconds to wait after so many failures in a row; a pause that the source asks for is kept."""
    intervals = min(2.0 ** min(failures - 1, _MOST_INTERVALS), _MOST_INTERVALS)
    own = max(interval, min(interval * intervals, LONGEST_PAUSE))
    return max(own, min(asked or 0.0, LONGEST_ASKED))
