"""The cache and the history: whether they are there, let us do what we do, and have room for it."""

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

from aggregator.cli.doctor.examination import Check, Finding, Seen, broken, fine, odd
from aggregator.cli.doctor.report import place
from aggregator.cluster.clock import RedisClock
from aggregator.cluster.redis_rights import Constitution, constitution, refusals
from aggregator.errors import CannotGoOn, StoreError, StoreRefused
from aggregator.models import Price, Tier
from aggregator.observability.metrics import Metrics
from aggregator.runtime.stores import attempt, open_history, open_redis, retention_of
from aggregator.settings import Settings
from aggregator.stores.definition import FILE_REMEDY
from aggregator.stores.dynamodb import TABLE_REMEDY, DynamoAddress, make_table, parse_dynamodb_url
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.outbox_file import OutboxFile, Size
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.sqlite import SqliteHistory, parse_sqlite_url

_OLDEST_REDIS = (6, 2)  # XAUTOCLAIM
_LEAST_FREE = 64 << 20  # bytes
_NO_ASSET = Price("doctor", Decimal(1), 0.0, Tier.COLD, Decimal(0), 0.0, (), ())
_RIGHTS_MEND = "give its user +@all -@dangerous +info ~aggregator:* &aggregator:* (AGGREGATOR_CACHE_URL)"


class File(Protocol):
    """A file that a store keeps."""

    async def open(self) -> None:
        """Create it where missing."""

    async def ping(self) -> None:
        """Raise StoreUnavailable unless it can be written to."""

    async def close(self) -> None:
        """Close it."""


# Redis


async def redis_check(settings: Settings, seen: Seen) -> Sequence[Finding]:
    """Open Redis as the service does, and try all that it does there; `seen` hears how far Redis' clock is ahead."""
    where = place(settings.cache_url)
    async with AsyncExitStack() as stack:
        client = await open_redis(settings, stack)
        if client is None:
            return [fine("redis", "none is named; the cache is in memory")]
        found = await _constitution(client, where)
        with suppress(StoreError):  # what is not allowed is told below
            await (clock := RedisClock(client)).sync()
            seen.ahead.append(clock.now() - time.time())
    refused = await refusals(settings.cache_url, settings.redis_timeout, _NO_ASSET)
    if refused:
        found.append(broken("redis", f"{where} does not let us {'; '.join(refused)}", _RIGHTS_MEND))
    return found or [fine("redis", f"{where} answers, and lets us do all that we do there")]


async def _constitution(client: RedisClient, where: str) -> list[Finding]:
    try:
        said = await constitution(client)
    except StoreError as error:
        return [odd("redis", f"{where} does not tell about itself ({error})", "allow +info to have that looked at too")]
    return [finding for judge in (_version, _replica, _policy) if (finding := judge(said, where)) is not None]


def _version(said: Constitution, where: str) -> Finding | None:
    numbers = tuple(int(part) for part in said.version.split(".")[:2] if part.isdigit())
    if numbers >= _OLDEST_REDIS:
        return None
    return broken("redis", f"{where} is version {said.version}, and has no XAUTOCLAIM", "use 6.2 or newer")


def _replica(said: Constitution, where: str) -> Finding | None:
    if not said.is_replica:
        return None
    return broken("redis", f"{where} is a replica", "name the primary (AGGREGATOR_CACHE_URL)")


def _policy(said: Constitution, where: str) -> Finding | None:
    if not said.most_bytes or said.policy.startswith("volatile-"):
        return None
    when_full = "refuses new prices" if said.policy == "noeviction" else "may drop the jobs of those who share work"
    says = f"{where} {when_full} when its {said.most_bytes >> 20} MiB are full"
    return odd("redis", says, "set maxmemory-policy volatile-ttl")


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
    """Open the history as the service does, and ask whether it can be reached."""
    async with AsyncExitStack() as stack:
        await (await open_history(settings, Metrics(), stack)).ping()
    return [fine("history", f"{place(settings.history_url)} answers")]


async def table_check(settings: Settings, target: DynamoAddress) -> Sequence[Finding]:
    """Look for the DynamoDB table, its keys and TTL, and try our rights to it."""
    table = make_table(target, Metrics(), retention_of(settings))
    name = f"table {target.table} in {place(target.endpoint) if target.endpoint else target.region}"
    try:
        await attempt(table.connect, "AGGREGATOR_HISTORY_URL", TABLE_REMEDY)
        if not await table.exists():
            says = f"{name} is not there yet"
            return [odd("dynamodb", says, "the service makes it, which takes the right to dynamodb:CreateTable")]
        await table.try_rights(writing=settings.role != "api")
        return await _expiry(settings, table, name)
    except StoreRefused as error:
        return [broken("dynamodb", str(error), "name another table (AGGREGATOR_HISTORY_URL)")]
    except StoreError as error:
        return [broken("dynamodb", f"{name}: {error}", f"{TABLE_REMEDY} (AGGREGATOR_HISTORY_URL)")]
    finally:
        await table.close()


async def _expiry(settings: Settings, table: DynamoTable, name: str) -> Sequence[Finding]:
    if settings.retention_days is None:
        return [fine("dynamodb", f"{name} is there and ours to use; it keeps everything")]
    if await table.expires():
        return [fine("dynamodb", f"{name} is there and ours to use; it forgets after {settings.retention_days:g} days")]
    mend = "the service turns it on, which takes the right to dynamodb:UpdateTimeToLive"
    return [odd("dynamodb", f"{name} forgets nothing yet, its TTL is off", mend)]


async def outbox_check(settings: Settings) -> Sequence[Finding]:
    """Try the outbox: it has to be writable, on a disk that can take its bound and outlives the process."""
    path, most = settings.outbox_path, settings.outbox_max_bytes
    size = await _try_file(path, lambda file: OutboxFile(file, most), "AGGREGATOR_OUTBOX_PATH")
    found = [*await asyncio.to_thread(_room, "outbox", path, most - size.bytes), *_letters(size)]
    kind = await asyncio.to_thread(_fleeting, path.parent)
    if kind and settings.role != "api":  # who only answers writes nothing
        mend = "put it on a disk, or a volume (AGGREGATOR_OUTBOX_PATH)"
        found.append(odd("outbox", f"{path} is on {kind}, which does not outlive the machine or container", mend))
    return found or [fine("outbox", f"{path} can be written to; {size.rows} prices wait in it")]


async def sqlite_check(path: Path) -> Sequence[Finding]:
    """Try the history's file."""
    await _try_file(path, SqliteHistory, "AGGREGATOR_HISTORY_URL")
    return await asyncio.to_thread(_room, "history", path, 0) or [fine("history", f"{path} can be written to")]


async def _try_file(path: Path, make: Callable[[Path], File], setting: str) -> Size:
    """Open the file as the service does, or, where there is none yet, one beside it that is taken away again."""
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
    return [odd("outbox", f"DynamoDB has refused {size.dead} prices for good", "aggregator dead-letters list")]


def _room(check: str, path: Path, may_grow: int) -> list[Finding]:
    """Judge the free disk: below a floor nothing goes on, below what the file may grow by it does not for ever."""
    free = shutil.disk_usage(path.parent).free
    says = f"{free >> 20} MiB are free at {path.parent.absolute()}"
    if free < _LEAST_FREE:
        return [broken(check, says, "make room")]
    if free < may_grow:
        mend = "make room, or lower AGGREGATOR_OUTBOX_MAX_BYTES"
        return [odd(check, f"{says}, and the file may grow by {may_grow >> 20}", mend)]
    return []


def _fleeting(folder: Path) -> str:
    """Return the kind of file system the folder is on when that is gone with the container or the machine's power."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    kinds = {fields[1]: fields[2] for fields in (line.split() for line in lines)}
    here = folder.resolve()
    mount = next(str(one) for one in (here, *here.parents) if str(one) in kinds or one == one.parent)
    kind = kinds.get(mount, "")
    return kind if kind in ("tmpfs", "ramfs", "overlay") else ""
