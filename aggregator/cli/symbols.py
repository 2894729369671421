"""`aggregator symbols`: make a symbols file of the pairs that exchanges list, ranked by turnover."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from aggregator.cli.command import Command, Flags, start, whole_number_up_to
from aggregator.cli.replaced_file import replaced
from aggregator.cli.stopping import result_before_stop
from aggregator.errors import CannotGoOn, ExchangeError, NotListed
from aggregator.exchanges.dialect import Answer, Request
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.targets import REPLAY, ExchangeTarget, exchange_targets
from aggregator.observability.metrics import Metrics
from aggregator.prices.liquidity import Listed, Ranked, rank
from aggregator.runtime.lifecycle import run
from aggregator.settings import Settings

_MOST_ROWS = 100_000
_TOP = 1000
_MOST_BYTES = 64 << 20  # of one answer
_SECONDS = 30.0  # for one answer
_MEND = "try again, or leave it out of --exchanges"

log = structlog.get_logger()


class Wanted(msgspec.Struct, frozen=True):
    """The file to write: at most `top` rows, of pairs that at least `least` exchanges list, into `file` (None: stdout).

    `least` None stands for 2, or for 1 where the settings name one exchange.
    """

    top: int = _TOP
    least: int | None = None
    file: Path | None = None


async def symbols(settings: Settings, wanted: Wanted, stop: asyncio.Event) -> None:
    """Write the symbols file. Raises CannotGoOn, and then writes nothing."""
    targets = [_usable(target) for target in exchange_targets(settings.exchanges)]
    least = wanted.least or min(2, len(targets))
    if least > len(targets):
        raise CannotGoOn(f"--min-venues {least} is more than the {len(targets)} exchanges of --exchanges; lower it")
    told = "stopped before all exchanges had answered; nothing is written"
    listed = await result_before_stop(_survey(settings, targets), stop, told)
    _write(_first(rank(listed, least), least, wanted), wanted.file)


def _usable(target: ExchangeTarget) -> ExchangeTarget:
    if target.library or target.dialect == REPLAY or DIALECTS[target.dialect]().statistics is None:
        able = ", ".join(name for name, make in DIALECTS.items() if make().statistics is not None)
        raise CannotGoOn(f"{target.dialect} has no single answer with all its volumes", f"name some of {able}")
    return target


async def _survey(settings: Settings, targets: Sequence[ExchangeTarget]) -> list[Listed]:
    """Call all exchanges at the same time. Raises CannotGoOn that names each exchange that did not answer."""
    async with session(settings.exchange_timeout) as http:
        answers = await asyncio.gather(*(_ask(target, settings, http) for target in targets))
    failures = [answer for answer in answers if isinstance(answer, str)]
    if failures:
        raise CannotGoOn("; ".join(failures), _MEND)
    return [one for answer in answers if not isinstance(answer, str) for one in answer]


async def _ask(target: ExchangeTarget, settings: Settings, http: Session) -> list[Listed] | str:
    """Return the markets of one exchange, or the error as text."""
    dialect, metrics = DIALECTS[target.dialect](), Metrics()
    url, slots = target.url or dialect.public_url, settings.exchange_concurrency
    exchange = SurveyedExchange(target.name, url, dialect, http, metrics, slots)
    try:
        found = await exchange.survey()
    except ExchangeError as error:
        return f"{target.name} ({url}) did not answer: {error.reason.value} {error}"
    if not found:
        return f"{target.name} ({url}) lists no pair in trade"
    log.info("exchange_surveyed", exchange=target.name, markets=len(found))
    return found


def _first(ranked: Sequence[Ranked], least: int, wanted: Wanted) -> Sequence[Ranked]:
    if not ranked:
        raise CannotGoOn(f"no pair is listed by {least} of the exchanges", "name more of them, or lower --min-venues")
    if ranked[0].turnover == 0:
        raise CannotGoOn(
            "no exchange gives prices, so volumes cannot be compared", "name another exchange beside coinbase"
        )
    if len(ranked) < wanted.top:
        log.warning("fewer_symbols", wanted=wanted.top, found=len(ranked), min_venues=least)
    return ranked[: wanted.top]


def _write(rows: Sequence[Ranked], path: Path | None) -> None:
    """Write the file, or to stdout without a path. Raises CannotGoOn."""
    text = "symbol,base,quote\n" + "".join(f"{row.symbol},{row.base},{row.quote}\n" for row in rows)
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with replaced(path, "--file") as beside, beside.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
    log.info("symbols_written", file=str(path), symbols=len(rows))


class SurveyedExchange(HttpExchange):
    """An exchange that is called twice: for its listing, and for the last 24 hours of every market."""

    async def survey(self) -> list[Listed]:
        """Return the markets in trade now, with volume and price where the answer has them. Raises ExchangeError."""
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


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--top", type=whole_number_up_to(_MOST_ROWS), default=_TOP, help=f"most rows; default {_TOP}")
    parser.add_argument(
        "--min-venues",
        type=whole_number_up_to(len(DIALECTS)),
        help="exchanges that have to list a pair; default 2, or 1 where --exchanges names one",
    )
    parser.add_argument("--file", type=Path, help="file to replace once every exchange has answered; default stdout")


def _run(options: argparse.Namespace, flags: Flags) -> int:
    settings, wanted = start(flags), Wanted(options.top, options.min_venues, options.file)
    return run(lambda stop: symbols(settings, wanted, stop))


COMMAND = Command(
    "make a symbols file of the most traded pairs",
    _run,
    ["exchanges", "log_format", "log_level"],
    _add_options,
    description="Call each exchange for its listing and its 24-hour volumes, and write the pairs that several of them"
    " list, the largest turnover in US dollars first.",
)
