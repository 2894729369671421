"""`aggregator sql "select …"`: query the archive together with what the hot stores have beyond it."""

import argparse
import asyncio
from pathlib import Path

from aggregator.cli.command import Command, Flags, seconds_up_to, start, whole_number_up_to
from aggregator.cli.sql.formats import FORMATS
from aggregator.runtime.data_folder import check_folder, files_of_stores
from aggregator.runtime.lifecycle import complain, run

_DAY = 86_400
_MOST_MEGABYTES = 1_000_000


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY", help='one SELECT, such as "select count(*) from trades"')
    parser.add_argument("--format", choices=FORMATS, help="default: by the name of --output, or table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file for the result, replaced at the end")
    parser.add_argument(
        "--from", dest="source", metavar="ARCHIVE", help="another archive, s3://… or a folder, without the hot stores"
    )
    parser.add_argument(
        "--timeout", type=seconds_up_to(_DAY), default=60.0, help="seconds that the query may take; default 60"
    )
    parser.add_argument(
        "--memory",
        type=whole_number_up_to(_MOST_MEGABYTES),
        default=1024,
        metavar="MB",
        help="memory that the query may use; beyond it, files of at most four times as much; default 1024",
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    from aggregator.cli.sql.command import Wanted, run_query  # noqa: PLC0415  # other commands need none of it
    from aggregator.cli.sql.output import Target  # noqa: PLC0415  # it is part of the run, which other commands do not need

    settings = start(flags)
    if options.source is None:
        check_folder(settings, files_of_stores(settings))
    ending = "" if options.output is None else options.output.suffix.lower().lstrip(".")
    form = options.format or (ending if ending in FORMATS else "table")
    if form == "parquet" and options.output is None:
        return complain(2, "--format parquet needs --output FILE")
    target = Target(form, options.output)
    wanted = Wanted(options.query, target, options.source, options.timeout, options.memory << 20)

    async def work(stop: asyncio.Event) -> None:
        await run_query(settings, wanted, stop)

    return run(work)


COMMAND = Command(
    "query the archive and the hot stores with SQL",
    _run,
    [
        "archive_url",
        "archive_path",
        "data_dir",
        "trades_url",
        "history_url",
        "events_url",
        "symbols_file",
        "trades_retention",
        "log_format",
        "log_level",
    ],
    _add_options,
    description="Run one SELECT over the views prices, trades, features, anomalies, signals, sentiment and"
    " dead_letters, and print the result. See docs/sql.md. Nothing is changed.",
)
