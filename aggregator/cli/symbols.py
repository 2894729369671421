"""`aggregator symbols`: makes a symbols file of what exchanges list and how much of it is traded."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from aggregator.errors import CannotGoOn, ExchangeError, NotListed
from aggregator.exchanges.dialect import Answer, Request
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.targets import REPLAY, ExchangeTarget, exchange_targets
from aggregator.observability.metrics import Metrics
from aggregator.prices.liquidity import Listed, Ranked, rank
from aggregator.settings import Settings

MOST_ROWS = 100_000
TOP = 1000

_MEND = "try again, or leave it out of --exchanges"

log = structlog.get_logger()


class Wanted(msgspec.Struct, frozen=True):
    """How many rows, of pairs that at least so many exchanges list (None: 2, or 1 where one is named), and where to."""

    top: int = TOP
    least: int | None = None
    file: Path | None = None


async def symbols(settings: Settings, wanted: Wanted, stop: asyncio.Event) -> None:
    """Write the file, or to stdout where none is named. Raises CannotGoOn, and then writes nothing."""
    targets = [_usable(target) for target in exchange_targets(settings.exchanges)]
    least = wanted.least or min(2, len(targets))
    if least > len(targets):
        raise CannotGoOn(f"--min-venues {least} is more than the {len(targets)} exchanges that are named")
    surveying = asyncio.create_task(_survey(settings, targets))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({surveying, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not surveying.done():
        surveying.cancel()
        await asyncio.gather(surveying, return_exceptions=True)
        raise CannotGoOn("stopped before all exchanges had answered; nothing is written")
    _write(_first(rank(surveying.result(), least), least, wanted), wanted.file)


def _usable(target: ExchangeTarget) -> ExchangeTarget:
    if target.library or target.dialect == REPLAY or DIALECTS[target.dialect]().statistics is None:
        able = ", ".join(name for name, make in DIALECTS.items() if make().statistics is not None)
        raise CannotGoOn(f"{target.dialect} does not tell all its volumes in one answer", f"name some of {able}")
    return target


async def _survey(settings: Settings, targets: Sequence[ExchangeTarget]) -> list[Listed]:
    """Ask all at the same time. Raises CannotGoOn naming each exchange that did not answer."""
    async with session(settings.exchange_timeout) as http:
        answers = await asyncio.gather(*(_ask(target, settings, http) for target in targets))
    failures = [answer for answer in answers if isinstance(answer, str)]
    if failures:
        raise CannotGoOn("; ".join(failures), _MEND)
    return [one for answer in answers if not isinstance(answer, str) for one in answer]


async def _ask(target: ExchangeTarget, settings: Settings, http: Session) -> list[Listed] | str:
    """Return what one exchange lists, or why it did not say so."""
    dialect, metrics = DIALECTS[target.dialect](), Metrics()
    url, slots = target.url or dialect.public_url, settings.exchange_concurrency
    exchange = SurveyedExchange(target.name, url, dialect, http, metrics, slots)
    try:
        found = await exchange.survey()
    except ExchangeError as error:
        return f"{target.name} ({url}) did not answer: {error.reason.value} {error}"
    if not found:
        return f"{target.name} ({url}) lists no pair that is traded"
    log.info("exchange_surveyed", exchange=target.name, markets=len(found))
    return found


def _first(ranked: Sequence[Ranked], least: int, wanted: Wanted) -> Sequence[Ranked]:
    if not ranked:
        raise CannotGoOn(f"no pair is listed by {least} of the exchanges", "name more of them, or lower --min-venues")
    if ranked[0].turnover == 0:
        raise CannotGoOn("no price is told, so volumes cannot be compared", "name an exchange beside coinbase")
    if len(ranked) < wanted.top:
        log.warning("fewer_symbols", wanted=wanted.top, found=len(ranked), min_venues=least)
    return ranked[: wanted.top]


def _write(rows: Sequence[Ranked], file: Path | None) -> None:
    """Write beside the file and rename, so that nobody ever reads half of it. Raises CannotGoOn."""
    text = "symbol,base,quote\n" + "".join(f"{row.symbol},{row.base},{row.quote}\n" for row in rows)
    if file is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            with beside.open("x", encoding="utf-8", newline="") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            beside.replace(file)
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()
    except OSError as error:
        raise CannotGoOn(f"cannot write {file}: {error.strerror}", "name another file with --file") from error
    log.info("symbols_written", file=str(file), symbols=len(rows))


_MOST_BYTES = 64 << 20
_SECONDS = 30.0


class SurveyedExchange(HttpExchange):
    """Asked for two answers: its listing, and the last 24 hours of every market."""

    async def survey(self) -> list[Listed]:
        """Return the markets that it trades now, with volume and price where it tells them. Raises ExchangeError."""
        dialect = self._dialect
        markets = list(dialect.markets(await self._whole(dialect.listing, dialect.listing_cost)))
        statistics = await self._whole(dialect.statistics, dialect.statistics_cost)
        days = {day.name: day for day in dialect.read_statistics(statistics)}
        found = []
        for market in markets:
            if market.trading:
                day = days.get(market.name)
                volume, price = (None, None) if day is None else (day.volume, day.price)
                found.append(Listed(self.name, market.base, market.quote, volume, price))
        return found

    async def _whole(self, request: Request | None, cost: float) -> Answer:
        if request is None:
            raise NotListed("its dialect has no listing, or no statistics of all markets")
        await self._acquire_tokens(cost, hot=True)
        return self._answer_of(await self._send(request, _MOST_BYTES, _SECONDS, ()))
