"""Checks of the stores: whether they are reachable, grant the rights that the service needs, and have room."""

import asyncio
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Protocol

from aggregator.cli.doctor.checks import Check, Context, Finding, failure, passed, warning
from aggregator.cli.doctor.report import place
from aggregator.cluster.consumer_group import RedisClock
from aggregator.cluster.redis_rights import Constitution, constitution, refusals
from aggregator.errors import CannotGoOn, StoreError, StoreRefused
from aggregator.models import Price, Tier
from aggregator.observability.metrics import Metrics
from aggregator.runtime.stores import attempt, open_history, open_redis, retention_of
from aggregator.settings import Settings
from aggregator.stores.definition import FILE_REMEDY
from aggregator.stores.dynamodb import TABLE_REMEDY, DynamoAddress, parse_dynamodb_url
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.sqlite import SqliteHistory, parse_sqlite_url
from aggregator.stores.waiting_file import Size

_OLDEST_REDIS = (6, 2)  # XAUTOCLAIM
_LONGEST_QUERY = 300.0  # seconds; --seconds ends the check before, and says so
_LEAST_FREE = 64 << 20  # bytes on the disk
_NO_ASSET = Price("doctor", Decimal(1), 0.0, Tier.COLD, Decimal(0), 0.0, (), ())
_RIGHTS_MEND = "give its user +@all -@dangerous +info ~aggregator:* &aggregator:* (AGGREGATOR_CACHE_URL)"


class File(Protocol):
    """The database file of a store."""

    async def open(self) -> None:
        """Open the file, or create it."""

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written."""

    async def close(self) -> None:
        """Close the file."""


# Redis


async def redis_check(settings: Settings, context: Context) -> Sequence[Finding]:
    """Open Redis as the service does, try every kind of command that it uses, and note the offset of Redis' clock."""
    where = place(settings.cache_url)
    async with AsyncExitStack() as stack:
        client = await open_redis(settings, stack)
        if client is None:
            return [passed("redis", "not used: the cache is in memory")]
        found = await _constitution(client, where)
        with suppress(StoreError):  # missing rights are reported below
            await (clock := RedisClock(client)).sync()
            context.clock_offsets.append(clock.now() - time.time())
    refused = await refusals(settings.cache_url, settings.redis_timeout, _NO_ASSET)
    if refused:
        found.append(failure("redis", f"{where} does not let us {'; '.join(refused)}", _RIGHTS_MEND))
    return found or [passed("redis", f"{where} answers, and allows everything that the service does there")]


async def _constitution(client: RedisClient, where: str) -> list[Finding]:
    try:
        said = await constitution(client)
    except StoreError as error:
        return [
            warning(
                "redis",
                f"{where} refuses INFO ({error})",
                "allow +info, so that version and memory policy can be checked",
            )
        ]
    return [finding for judge in (_version, _replica, _policy) if (finding := judge(said, where)) is not None]


def _version(said: Constitution, where: str) -> Finding | None:
    numbers = tuple(int(part) for part in said.version.split(".")[:2] if part.isdigit())
    if numbers >= _OLDEST_REDIS:
        return None
    return failure("redis", f"{where} is version {said.version}, which has no XAUTOCLAIM", "use 6.2 or newer")


def _replica(said: Constitution, where: str) -> Finding | None:
    if not said.is_replica:
        return None
    return failure("redis", f"{where} is a replica", "name the primary (AGGREGATOR_CACHE_URL)")


def _policy(said: Constitution, where: str) -> Finding | None:
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
    table = DynamoTable(
        target.table, target.region, target.endpoint, Metrics(), retention, query_seconds=_LONGEST_QUERY
    )
    name = f"table {target.table} in {place(target.endpoint) if target.endpoint else target.region}"
    try:
        await attempt(table.connect, "AGGREGATOR_HISTORY_URL", TABLE_REMEDY)
        if not await table.exists():
            says = f"{name} does not exist yet"
            return [warning("dynamodb", says, "the service creates it, if it may call dynamodb:CreateTable")]
        await table.try_rights(writing=settings.role != "api")
        return await _expiry(settings, table, name)
    except StoreRefused as error:
        return [failure("dynamodb", str(error), "name another table (AGGREGATOR_HISTORY_URL)")]
    except StoreError as error:
        return [failure("dynamodb", f"{name}: {error}", f"{TABLE_REMEDY} (AGGREGATOR_HISTORY_URL)")]
    finally:
        await table.close()


async def _expiry(settings: Settings, table: DynamoTable, name: str) -> Sequence[Finding]:
    if settings.retention_days is None:
        return [passed("dynamodb", f"{name} can be used; it keeps all prices")]
    if await table.expires():
        return [passed("dynamodb", f"{name} can be used; it deletes prices after {settings.retention_days:g} days")]
    mend = "the service turns it on, if it may call dynamodb:UpdateTimeToLive"
    return [warning("dynamodb", f"{name} deletes nothing yet: its TTL is off", mend)]


async def outbox_check(settings: Settings) -> Sequence[Finding]:
    """Check the outbox: it must be writable, on a persistent disk with room for its largest size."""
    path, most = settings.outbox_path, settings.outbox_max_bytes
    size = await _try_file(path, lambda file: OutboxFile(file, most), "AGGREGATOR_OUTBOX_PATH")
    found = [*await asyncio.to_thread(_room, "outbox", path, most - size.bytes), *_letters(size)]
    kind = await asyncio.to_thread(_volatile, path.parent)
    if kind and settings.role != "api":  # a role that writes no history
        mend = "put it on a persistent disk or volume (AGGREGATOR_OUTBOX_PATH)"
        found.append(warning("outbox", f"{path} is on {kind}, which is lost with the machine or container", mend))
    return found or [passed("outbox", f"{path} can be written; {size.rows} prices wait in it")]


async def sqlite_check(path: Path) -> Sequence[Finding]:
    """Check the file of the history."""
    await _try_file(path, SqliteHistory, "AGGREGATOR_HISTORY_URL")
    return await asyncio.to_thread(_room, "history", path, 0) or [passed("history", f"{path} can be written")]


async def _try_file(path: Path, make: Callable[[Path], File], setting: str) -> Size:
    """Open the file as the service does; where it does not exist yet, a temporary one beside it. Return its size."""
    there = path if await asyncio.to_thread(path.exists) else path.with_name(f".doctor-{uuid.uuid4()}.db")
    file = make(there)
    try:
        await attempt(file.open, setting, FILE_REMEDY)
        await attempt(file.ping, setting, FILE_REMEDY)
        return await file.size() if isinstance(file, OutboxFile) else Size(0, None, 0, 0)
    except CannotGoOn as error:
        raise CannotGoOn(error.what.replace(str(there), str(path)), error.mend) from error
    finally:
        await file.close()
        if there != path:
            await asyncio.to_thread(_remove, there)


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _letters(size: Size) -> list[Finding]:
    if not size.dead:
        return []
    return [warning("outbox", f"DynamoDB has refused {size.dead} prices for good", "aggregator dead-letters list")]


def _room(check: str, path: Path, may_grow: int) -> list[Finding]:
    """Return a failure below a minimum of free disk, a warning below the bytes that the file may still grow by."""
    free = shutil.disk_usage(path.parent).free
    says = f"{free >> 20} MiB are free at {path.parent.absolute()}"
    if free < _LEAST_FREE:
        return [failure(check, says, "free some disk space")]
    if free < may_grow:
        mend = "free some disk space, or lower AGGREGATOR_OUTBOX_MAX_BYTES"
        return [warning(check, f"{says}, and the file may grow by {may_grow >> 20} MiB", mend)]
    return []


def _volatile(folder: Path) -> str:
    """Return the file system of the folder if it is lost with the container or at a restart, else an empty text."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    kinds = {fields[1]: fields[2] for fields in (line.split() for line in lines)}
    here = folder.resolve()
    mount = next(str(one) for one in (here, *here.parents) if str(one) in kinds or one == one.parent)
    kind = kinds.get(mount, "")
    return kind if kind in ("tmpfs", "ramfs", "overlay") else ""
