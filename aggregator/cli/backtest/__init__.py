"""`aggregator backtest`: what the paper strategy would have done with stored and archived trades."""

import argparse
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from aggregator.api.routing.parameters import parse_time
from aggregator.cli.command import Command, Flags, start
from aggregator.numerals import decimal_of
from aggregator.runtime.lifecycle import complain, run
from aggregator.strategy.rules import Rules

_NONE = "none"
_MOST_DIGITS = 30


def _moment(text: str) -> float:
    """Return unix seconds."""
    seconds = parse_time(text)
    if seconds is None:
        raise argparse.ArgumentTypeError("is neither unix seconds nor RFC 3339, such as 2026-11-29T10:00:00Z")
    return seconds


def _number(most: int, *, may_be_none: bool = False, below: bool = False) -> Callable[[str], Decimal | str]:
    """Return an argument type: a decimal above 0, at most `most`, or less with `below`; or the word none."""
    bound = f"{'below' if below else 'up to'} {most:,}"

    def parse(text: str) -> Decimal | str:
        if may_be_none and text == _NONE:
            return text
        number = decimal_of(text) or Decimal(0)
        in_range = 0 < number <= most and not (below and number == most)
        if not in_range or len(number.as_tuple().digits) > _MOST_DIGITS:
            choice = f", or {_NONE}" if may_be_none else ""
            raise argparse.ArgumentTypeError(f"is not a number above 0, {bound}{choice}")
        return number

    return parse


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="start", type=_moment, required=True, metavar="TIME", help="unix seconds or RFC 3339"
    )
    parser.add_argument("--to", dest="end", type=_moment, metavar="TIME", help="unix seconds or RFC 3339; default now")
    for name, kind, text in (
        ("drop", _number(100), "percent within a minute; default: the setting STRATEGY_DROP"),
        ("gain", _number(1000), "percent above the entry; default: the setting STRATEGY_GAIN"),
        (
            "stop",
            _number(100, may_be_none=True, below=True),
            "percent below the entry, or none; default: STRATEGY_STOP",
        ),
        ("amount", _number(10**12), "what a buy spends, in quote units; default: the setting STRATEGY_AMOUNT"),
    ):
        parser.add_argument(f"--{name}", type=kind, metavar="NUMBER", help=text)
    parser.add_argument("--assets", metavar="SYMBOLS", help="comma-separated symbols; default: all of --symbols-file")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="file for all positions, replaced at the end")


def _run(options: argparse.Namespace, flags: Flags) -> int:
    from aggregator.cli.backtest.command import Wanted, backtest  # noqa: PLC0415  # other commands need none of it

    settings, end = start(flags), time.time() if options.end is None else options.end
    if options.start > end:
        return complain(2, "--from must not be after --to")
    stop = settings.strategy_stop if options.stop is None else options.stop
    rules = Rules(
        options.drop or settings.strategy_drop,
        options.gain or settings.strategy_gain,
        None if stop == _NONE else stop,
        options.amount or settings.strategy_amount,
    )
    names = None if options.assets is None else options.assets.split(",")
    return run(lambda stop: backtest(settings, Wanted(options.start, end, rules, names, options.csv), stop))


COMMAND = Command(
    "trade on paper over stored and archived trades, and print what the strategy would have gained",
    _run,
    [
        "trades_url",
        "trades_retention",
        "archive_url",
        "data_dir",
        "symbols_file",
        "allowed_lateness",
        "window_trades",
        "log_format",
        "log_level",
    ],
    _add_options,
    description="Run the paper strategy over stored and archived trades, with the rules of the service: the same trades"
    " give the same positions. Prints a table with totals, and writes all positions as CSV. Nothing is stored.",
)
