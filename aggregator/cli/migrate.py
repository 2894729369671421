"""`aggregator migrate`: bring the schema of PostgreSQL up to date, or say with `--check` what it lacks.

The service does so too when it starts. The command is for a user of the database who may create tables, where the one
of the service may not.
"""

import argparse
import asyncio
import sys

from aggregator.cli.command import Command, Flags, start
from aggregator.errors import CannotGoOn, StoreError
from aggregator.runtime.lifecycle import run
from aggregator.settings import Settings
from aggregator.stores.postgres.address import REMEDY, PostgresAddress, parse_postgres_url


def addresses(settings: Settings) -> list[PostgresAddress]:
    """Return the databases that the settings name, each once."""
    urls = (settings.history_url, settings.trades_url, settings.events_url)
    found = [parse_postgres_url(url) for url in urls if url.startswith("postgresql:")]
    return list({(one.host, one.port, one.database): one for one in found}.values())


async def use_timescaledb(settings: Settings) -> None:
    """Make a hypertable of trades, and print it. Raises CannotGoOn."""
    from aggregator.stores.postgres.connections import Connections  # noqa: PLC0415  # it imports asyncpg
    from aggregator.stores.postgres.timescale import (  # noqa: PLC0415  # it imports asyncpg, too
        ENABLE_SECONDS,
        enable_timescaledb,
    )

    if not settings.trades_url.startswith("postgresql:"):
        raise CannotGoOn("trades are not in PostgreSQL", "set AGGREGATOR_TRADES_URL")
    address = parse_postgres_url(settings.trades_url)
    connections = Connections(address, settings.postgres_password, 1, ENABLE_SECONDS)
    try:
        await enable_timescaledb(connections)
    except StoreError as error:
        raise CannotGoOn(
            f"{address.place}: {error}", "CREATE EXTENSION timescaledb, or leave out --timescaledb"
        ) from error
    finally:
        await connections.close()
    sys.stdout.write(f"{address.place}: trades are a hypertable, trades_1m has their minutes\n")


async def migrate_all(settings: Settings, *, only_check: bool) -> None:
    """Apply the steps that each database lacks, and print them. Raises CannotGoOn, also for steps that are lacking."""
    from aggregator.stores.postgres import migrations  # noqa: PLC0415  # it imports asyncpg

    found = addresses(settings)
    if not found:
        raise CannotGoOn(
            "no store is in PostgreSQL", "set AGGREGATOR_HISTORY_URL, AGGREGATOR_TRADES_URL or AGGREGATOR_EVENTS_URL"
        )
    missing = 0
    for address in found:
        try:
            act = migrations.pending if only_check else migrations.migrate
            steps = await act(address, settings.postgres_password)
        except StoreError as error:
            raise CannotGoOn(f"{address.place}: {error}", REMEDY) from error
        verb = "lacks" if only_check else "applied"
        for step in steps:
            sys.stdout.write(f"{address.place}: {verb} {step.number:04d} {step.name}\n")
        if not steps:
            sys.stdout.write(f"{address.place}: up to date\n")
        missing += len(steps) if only_check else 0
    if missing:
        raise CannotGoOn(f"{missing} steps of the schema are not applied", "run aggregator migrate")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when a step is lacking")
    parser.add_argument(
        "--timescaledb",
        action="store_true",
        help="afterwards, make trades a hypertable of TimescaleDB, with compression and an aggregate of minutes",
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    settings = start(flags)

    async def work(_: asyncio.Event) -> None:
        await migrate_all(settings, only_check=options.check)
        if options.timescaledb and not options.check:
            await use_timescaledb(settings)

    return run(work)


COMMAND = Command(
    "bring the tables in PostgreSQL up to date",
    _run,
    ["history_url", "trades_url", "events_url", "log_format", "log_level"],
    _add_options,
    description="Apply the numbered steps of the schema that the databases of --history-url, --trades-url and"
    " --events-url lack.",
)
