"""The check of the store of events and positions."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from aggregator.cli.doctor.checks import Check, Finding, passed
from aggregator.cli.doctor.files import CheckedFile, try_store
from aggregator.cli.doctor.postgres import CheckedDatabase, try_database
from aggregator.cli.doctor.tables import LONGEST_QUERY, CheckedTable, try_table
from aggregator.observability.metrics import Metrics
from aggregator.settings import Settings
from aggregator.stores.dynamodb import DynamoAddress, parse_dynamodb_url
from aggregator.stores.events.dynamodb import TABLE_REMEDY
from aggregator.stores.events.dynamodb_table import EventTable
from aggregator.stores.events.sqlite import SqliteEvents
from aggregator.stores.postgres.address import parse_postgres_url
from aggregator.stores.sqlite import parse_sqlite_url

_CHECK = "events"
_URL = "AGGREGATOR_EVENTS_URL"


def event_checks(settings: Settings) -> dict[str, Check]:
    """Return the check of the store; none for a role that only reads a file."""
    url = settings.events_url
    if url.startswith("dynamodb:"):
        return {_CHECK: partial(table_check, settings, parse_dynamodb_url(url))}
    if url.startswith("postgresql:"):
        checked = CheckedDatabase(_CHECK, "events", ("SELECT", "INSERT", "UPDATE", "DELETE"), _URL)
        return {_CHECK: partial(try_database, settings, parse_postgres_url(url), checked)}
    if settings.role == "api":
        return {}
    if url.startswith("sqlite:"):
        return {_CHECK: partial(sqlite_check, settings, parse_sqlite_url(url))}
    return {_CHECK: memory_check}


async def memory_check() -> Sequence[Finding]:
    """Say that events and positions are lost with the process."""
    return [passed(_CHECK, "kept in the memory of the process, with the paper positions")]


async def sqlite_check(settings: Settings, path: Path) -> Sequence[Finding]:
    """Check the file of events and positions."""
    return await try_store(CheckedFile(_CHECK, path, _URL), lambda file: SqliteEvents(file, settings.events_retention))


async def table_check(settings: Settings, target: DynamoAddress) -> Sequence[Finding]:
    """Check the DynamoDB table of events: its keys, its TTL, and the rights that the service needs."""
    table = EventTable(target.table, target.region, target.endpoint, Metrics(), query_seconds=LONGEST_QUERY)
    checked = CheckedTable(_CHECK, "events", _URL, TABLE_REMEDY, settings.events_retention)
    return await try_table(table, target, checked, writing=settings.role != "api")
