"""Checks of the stores: whether they are reachable, grant the rights that the service needs, and have room."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path

from aggregator.cli.doctor.checks import Check, Context, Finding, failure, passed, warning
from aggregator.cli.doctor.files import CheckedFile, try_outbox, try_store
from aggregator.cli.doctor.postgres import CheckedDatabase, try_database
from aggregator.cli.doctor.report import place
from aggregator.cli.doctor.tables import LONGEST_QUERY, CheckedTable, try_table
from aggregator.cluster.consumer_group import RedisClock
from aggregator.cluster.redis_rights import RedisInfo, redis_info, refusals
from aggregator.errors import StoreError
from aggregator.models import Price, Tier
from aggregator.observability.metrics import Metrics
from aggregator.runtime.stores import open_history, open_redis, retention_of
from aggregator.settings import Settings
from aggregator.stores.dynamodb import TABLE_REMEDY, DynamoAddress, parse_dynamodb_url
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.postgres.address import parse_postgres_url
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.sqlite import SqliteHistory, parse_sqlite_url

_OLDEST_REDIS = (6, 2)  # XAUTOCLAIM
_NO_ASSET = Price("doctor", Decimal(1), 0.0, Tier.COLD, Decimal(0), 0.0, (), ())
_RIGHTS_MEND = "give its user +@all -@dangerous +info ~aggregator:* &aggregator:* (AGGREGATOR_CACHE_URL)"


# Redis


async def redis_check(settings: Settings, context: Context) -> Sequence[Finding]:
    """Open Redis as the service does, try every kind of command that it uses, and note the offset of Redis' clock."""
    where = place(settings.cache_url)
    async with AsyncExitStack() as stack:
        client = await open_redis(settings, stack)
        if client is None:
            return [passed("redis", "not used: the cache is in memory")]
        found = await _info(client, where)
        with suppress(StoreError):  # missing rights are reported below
            await (clock := RedisClock(client)).sync()
            context.clock_offsets.append(clock.now() - time.time())
    refused = await refusals(settings.cache_url, settings.redis_timeout, _NO_ASSET)
    if refused:
        found.append(failure("redis", f"{where} does not let us {'; '.join(refused)}", _RIGHTS_MEND))
    return found or [passed("redis", f"{where} answers, and allows everything that the service does there")]


async def _info(client: RedisClient, where: str) -> list[Finding]:
    try:
        said = await redis_info(client)
    except StoreError as error:
        return [
            warning(
                "redis",
                f"{where} refuses INFO ({error})",
                "allow +info, so that version and memory policy can be checked",
            )
        ]
    return [finding for judge in (_version, _replica, _policy) if (finding := judge(said, where)) is not None]


def _version(said: RedisInfo, where: str) -> Finding | None:
    numbers = tuple(int(part) for part in said.version.split(".")[:2] if part.isdigit())
    if numbers >= _OLDEST_REDIS:
        return None
    return failure("redis", f"{where} is version {said.version}, which has no XAUTOCLAIM", "use 6.2 or newer")


def _replica(said: RedisInfo, where: str) -> Finding | None:
    if not said.is_replica:
        return None
    return failure("redis", f"{where} is a replica", "name the primary (AGGREGATOR_CACHE_URL)")


def _policy(said: RedisInfo, where: str) -> Finding | None:
    if not said.most_bytes or said.policy.startswith("volatile-"):
        return None
    when_full = "refuses new prices" if said.policy == "noeviction" else "may drop the jobs that refreshers share"
    says = f"{where} {when_full} when its {said.most_bytes >> 20} MiB are full"
    return warning("redis", says, "set maxmemory-policy volatile-ttl")


# History


def history_checks(settings: Settings) -> dict[str, Check]:
    """Return the checks of the history that the settings name: those of its own, or `history_check`."""
    url = settings.history_url
    if url.startswith("dynamodb:"):
        table = partial(table_check, settings, parse_dynamodb_url(url))
        return {"outbox": partial(outbox_check, settings), "dynamodb": table}
    if url.startswith("postgresql:"):
        checked = CheckedDatabase(
            "postgresql", "prices", ("SELECT", "INSERT", "UPDATE", "DELETE"), "AGGREGATOR_HISTORY_URL"
        )
        database = partial(try_database, settings, parse_postgres_url(url), checked)
        return {"outbox": partial(outbox_check, settings), "postgresql": database}
    if url.startswith("sqlite:"):
        return {"history": partial(sqlite_check, parse_sqlite_url(url))}
    return {"history": partial(history_check, settings)}


async def history_check(settings: Settings) -> Sequence[Finding]:
    """Open the history as the service does, and check that it can be reached."""
    async with AsyncExitStack() as stack:
        await (await open_history(settings, Metrics(), stack)).ping()
    return [passed("history", f"{place(settings.history_url)} answers")]


async def table_check(settings: Settings, target: DynamoAddress) -> Sequence[Finding]:
    """Check the DynamoDB table: its keys, its TTL, and the rights that the service needs."""
    retention = retention_of(settings)
    table = DynamoTable(target.table, target.region, target.endpoint, Metrics(), retention, query_seconds=LONGEST_QUERY)
    checked = CheckedTable("dynamodb", "prices", "AGGREGATOR_HISTORY_URL", TABLE_REMEDY, retention)
    return await try_table(table, target, checked, writing=settings.role != "api")


async def outbox_check(settings: Settings) -> Sequence[Finding]:
    """Check the outbox: it must be writable, on a persistent disk with room for its largest size."""
    path, most = settings.outbox_path, settings.outbox_max_bytes
    checked = CheckedFile("outbox", path, "AGGREGATOR_OUTBOX_PATH")
    return await try_outbox(
        checked, lambda file: OutboxFile(file, most), most, "prices", writing=settings.role != "api"
    )


async def sqlite_check(path: Path) -> Sequence[Finding]:
    """Check the file of the history."""
    return await try_store(CheckedFile("history", path, "AGGREGATOR_HISTORY_URL"), SqliteHistory)
