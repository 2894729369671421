"""`aggregator cost`: print what a stream of trades costs on AWS, in parts and per million trades.

`units` has the units of one trade, `price_list` reads the prices, and `shapes` multiplies them.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aggregator.cli.command import Command, Flags, whole_number_up_to
from aggregator.cli.cost.price_list import AS_OF, read_prices
from aggregator.cli.cost.shapes import SHAPES, Load, Shape, lines_of, per_million
from aggregator.errors import CannotGoOn
from aggregator.numerals import number_of
from aggregator.runtime.lifecycle import complain
from aggregator.runtime.table import print_table
from aggregator.settings.durations import seconds_of

_DAY = 86_400.0
_MOST_RATE, _LONGEST = 10_000_000.0, 3650 * _DAY
_MOST_BYTES = 1 << 20  # of a list of prices
_NO_LIST = "give a CSV file of name,dollars as docs/cost.md describes it"
_ALL = "all"
_TEXTS = ("part", "unit")


def _number(least: float, most: float, what: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = number_of(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"is not {what} from {least:g} to {most:g}")
        return number

    return parse


def _duration(text: str) -> float:
    seconds = seconds_of(text)
    number = number_of(str(seconds))
    if not 0 < number <= _LONGEST:
        raise argparse.ArgumentTypeError("is not a duration such as 48h or 7d, of at most ten years")
    return number


def _prices(file: Path | None) -> Mapping[str, float]:
    if file is None:
        return read_prices()
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(_MOST_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise CannotGoOn(f"cannot read {file}: {error}", _NO_LIST) from error
    if len(text) > _MOST_BYTES:
        raise CannotGoOn(f"{file} has more than 1 MB", _NO_LIST)
    try:
        return read_prices(text.splitlines())
    except ValueError as error:
        raise CannotGoOn(f"{file}: {error}", _NO_LIST) from error


def _print(shape: Shape, load: Load, prices: Mapping[str, float]) -> None:
    lines = lines_of(shape, load, prices)
    total = sum(line.dollars for line in lines)
    sys.stdout.write(f"\n{shape}\n")
    rows = [
        [line.part, f"{line.quantity:,.2f}", line.unit, f"{line.dollars:,.2f}", _each(line.dollars, load)]
        for line in lines
        if line.dollars
    ]
    rows.append(["total", "", "", f"{total:,.2f}", f"{per_million(lines, load):.4f}"])
    print_table(("part", "a month", "unit", "$ a month", "$ per million"), rows, texts=_TEXTS)


def _each(dollars: float, load: Load) -> str:
    return f"{dollars / (load.trades / 1e6):.4f}"


def _add_options(parser: argparse.ArgumentParser) -> None:
    share = _number(0, 1, "a share")
    add = parser.add_argument
    add("--events-per-second", type=_number(0.001, _MOST_RATE, "a rate"), default=500.0, help="trades; default: 500")
    add("--assets", type=whole_number_up_to(1_000_000), default=1000, help="default: 1000")
    add("--retention", type=_duration, default=2 * _DAY, help="of the hot store; default: 48h")
    add("--archive-kept", type=_duration, default=30 * _DAY, help="how long the sum pays for files; default: 30d")
    add("--delivered", type=share, default=0.01, help="share of trades with an event in a queue; default: 0.01")
    add("--endpoints", type=_number(0, 100, "a number"), default=10.0, help="interfaces times zones; default: 10")
    add("--log", choices=["kinesis", "none"], default="kinesis", help="none: trades come over HTTP; default: kinesis")
    add("--alarms", type=_number(0, 1000, "a number"), default=20.0, help="CloudWatch alarms; default: 20")
    add("--shape", choices=[*SHAPES, _ALL], default=_ALL, help="the hot store; archive: SQLite; default: all")
    add("--prices", type=Path, default=None, help="CSV file with name,dollars; default: the list of the package")


def _run(options: argparse.Namespace, _: Flags) -> int:
    try:
        prices = _prices(options.prices)
    except CannotGoOn as error:
        return complain(1, str(error))
    load = Load(
        rate=options.events_per_second,
        assets=options.assets,
        retention=options.retention,
        delivered=options.delivered,
        archive_days=options.archive_kept / _DAY,
        has_log=options.log == "kinesis",
        endpoints=round(options.endpoints),
        alarms=round(options.alarms),
    )
    sys.stdout.write(
        f"{load.rate:,g} trades a second of {load.assets:,} assets: {load.trades / 1e6:,.0f} million a month of 730 h\n"
        f"Prices of us-east-1 as of {AS_OF}, to be checked; no free tiers, discounts, tax and traffic out of AWS\n"
    )
    for shape in SHAPES if options.shape == _ALL else (options.shape,):
        _print(shape, load, prices)
    return 0


COMMAND = Command(
    "estimate what a stream of trades costs on AWS",
    _run,
    [],
    _add_options,
    description="Multiply the units that a trade costs, as measured, by a list of prices, for three hot stores:"
    " DynamoDB, SQLite beside an archive in S3, and PostgreSQL.",
)
