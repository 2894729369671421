"""What the service needs of the machine it is on: its settings' files, the port, open files, and the time."""

import asyncio
import errno
import http.client
import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from statistics import median

from aggregator.api.server.server import limits_of, listening
from aggregator.cli.doctor.examination import Finding, Seen, broken, fine, odd
from aggregator.cli.doctor.report import place
from aggregator.errors import CannotGoOn
from aggregator.exchanges.targets import exchange_targets
from aggregator.models import FUTURE_TOLERANCE, Tier
from aggregator.runtime.stores import catalog_of
from aggregator.settings import Settings

_HEALTH_SECONDS = 2.0
_CLOCK_TOLERANCE = 1.0  # seconds; it begins to show in ages and in what counts as stale


async def settings_check(settings: Settings) -> Sequence[Finding]:
    """Look at what the settings mean together."""
    names = [target.name for target in exchange_targets(settings.exchanges)]
    found = []
    if not _is_loopback(settings.host) and not settings.api_keys and settings.role != "refresher":
        says = f"listens on {settings.host} without keys, so whoever reaches it can POST /refresh"
        found.append(odd("settings", says, "set AGGREGATOR_API_KEYS, or see that only you reach it (AGGREGATOR_HOST)"))
    if settings.min_sources == len(names) > 1:
        says = f"a price needs all {len(names)} exchanges, so one that is away stops every price"
        mend = "name another one, or lower AGGREGATOR_MIN_SOURCES; with 1, a venue that answers alone is believed"
        found.append(odd("settings", says, mend))
    stores = f"cache {place(settings.cache_url)}, history {settings.history_url.partition('?')[0]}"
    return found or [fine("settings", f"role {settings.role}, {stores}, exchanges {', '.join(names)}")]


async def symbols_check(settings: Settings, seen: Seen) -> Sequence[Finding]:
    """Read the symbols file as the service does; `seen` gets the assets."""
    catalog = await asyncio.to_thread(catalog_of, settings)
    seen.assets += catalog.assets.values()
    sizes = ", ".join(f"{len(catalog.of(tier))} {tier.value}" for tier in Tier)
    return [fine("symbols", f"{len(catalog.assets)} assets in {settings.symbols_file}: {sizes}")]


async def port_check(settings: Settings) -> Sequence[Finding]:
    """Take the port and let go of it, unless the service has it already."""
    where = f"{settings.host}:{settings.port}"
    try:
        await asyncio.to_thread(_take_port, settings)
    except CannotGoOn as error:
        taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        if taken and await asyncio.to_thread(_is_ours, settings):
            return [fine("port", f"{where} is taken by an aggregator that is alive")]
        raise
    return [fine("port", f"{where} can be listened on")]


async def files_check(settings: Settings) -> Sequence[Finding]:
    """Look at the limit of open files, of which every connection takes one."""
    most, wanted = limits_of(settings.max_connections).connections, settings.max_connections
    if most < wanted:
        says = f"the limit of open files allows {most} connections, not the {wanted} of AGGREGATOR_MAX_CONNECTIONS"
        return [odd("files", says, f"raise it (ulimit -n {wanted * 4 // 3 + 1}, LimitNOFILE=), or lower the setting")]
    return [fine("files", f"{most} connections at once")]


async def clock_check(seen: Seen) -> Sequence[Finding]:
    """Judge our clock by how many seconds others are ahead of it."""
    return [_clock(seen.ahead)]


def _clock(ahead: Sequence[float]) -> Finding:
    if not ahead:
        return odd("clock", "nobody has told the time to compare with", "mend what is wrong above, and look again")
    off = median(ahead)
    says = f"{abs(off):.2f} s {'behind' if off > 0 else 'ahead of'} {len(ahead)} others"
    mend = "synchronise it (chrony, systemd-timesyncd)"
    if abs(off) > FUTURE_TOLERANCE:
        return broken("clock", f"{says}, and a ticker from {FUTURE_TOLERANCE:g} s ahead does not count", mend)
    return odd("clock", says, mend) if abs(off) > _CLOCK_TOLERANCE else fine("clock", says)


def _take_port(settings: Settings) -> None:
    with listening(settings.host, settings.port):
        pass  # and let go of it


def _is_ours(settings: Settings) -> bool:
    """Whether who has the port answers as the service does."""
    host = "localhost" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  # compared, not bound
    connection = http.client.HTTPConnection(host, settings.port, timeout=_HEALTH_SECONDS)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health")
        return connection.getresponse().read(3) == b"OK"
    return False


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
