"""Checks of this machine: the settings taken together, the symbols file, the port, open files and the clock."""

import asyncio
import errno
import http.client
import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from statistics import median

from aggregator.api.server.server import limits_of, listening
from aggregator.cli.doctor.checks import Context, Finding, failure, passed, warning
from aggregator.cli.doctor.report import place
from aggregator.errors import CannotGoOn
from aggregator.exchanges.targets import exchange_targets
from aggregator.models import FUTURE_TOLERANCE, Tier
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.parts.analytics.build_alerts import rules_of_file
from aggregator.settings import Settings
from aggregator.settings.loader import SettingsError

_HEALTH_SECONDS = 2.0
_CLOCK_TOLERANCE = 1.0  # seconds; a larger offset shows in the ages of prices, and in which ones are stale


async def settings_check(settings: Settings) -> Sequence[Finding]:
    """Check the settings taken together."""
    names = [target.name for target in exchange_targets(settings.exchanges)]
    found = []
    if not _is_loopback(settings.host) and not settings.api_keys and settings.role != "refresher":
        says = f"listens on {settings.host} without keys, so every client that reaches it can POST /refresh"
        found.append(
            warning("settings", says, "set AGGREGATOR_API_KEYS, or let only this machine reach it (AGGREGATOR_HOST)")
        )
    if settings.min_sources == len(names) > 1:
        says = f"a price needs all of its {len(names)} exchanges, so the failure of one stops every price"
        mend = "add an exchange, or lower AGGREGATOR_MIN_SOURCES; with 1, a single exchange can set a price alone"
        found.append(warning("settings", says, mend))
    stores = f"cache {place(settings.cache_url)}, history {settings.history_url.partition('?')[0]}"
    return found or [passed("settings", f"role {settings.role}, {stores}, exchanges {', '.join(names)}")]


async def symbols_check(settings: Settings, context: Context) -> Sequence[Finding]:
    """Read the symbols file as the service does, and note its assets."""
    catalog = await asyncio.to_thread(catalog_of, settings)
    context.assets += catalog.assets.values()
    sizes = ", ".join(f"{len(catalog.of(tier))} {tier.value}" for tier in Tier)
    return [passed("symbols", f"{len(catalog.assets)} assets in {settings.symbols_file}: {sizes}")]


async def alerts_check(settings: Settings) -> Sequence[Finding]:
    """Read the file of rules as the service does."""
    try:
        rules = await asyncio.to_thread(lambda: rules_of_file(settings, catalog_of(settings)))
    except SettingsError as error:
        return [failure("alerts", mistake, "change the file, or the setting") for mistake in error.mistakes]
    return [passed("alerts", f"{len(rules)} rules in {settings.alerts_file}")]


async def port_check(settings: Settings) -> Sequence[Finding]:
    """Open the port and close it again; it is also well if the service itself listens there already."""
    where = f"{settings.host}:{settings.port}"
    try:
        await asyncio.to_thread(_take_port, settings)
    except CannotGoOn as error:
        taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        if taken and await asyncio.to_thread(_is_ours, settings):
            return [passed("port", f"an aggregator listens on {where} already")]
        raise
    return [passed("port", f"{where} can be listened on")]


async def files_check(settings: Settings) -> Sequence[Finding]:
    """Check the limit of open files: every connection takes one."""
    most, wanted = limits_of(settings.max_connections).connections, settings.max_connections
    if most < wanted:
        says = f"the limit of open files allows {most} connections, not the {wanted} of AGGREGATOR_MAX_CONNECTIONS"
        return [
            warning("files", says, f"raise it (ulimit -n {wanted * 4 // 3 + 1}, LimitNOFILE=), or lower the setting")
        ]
    return [passed("files", f"{most} connections at once")]


async def clock_check(context: Context) -> Sequence[Finding]:
    """Compare the clock of this machine with the clocks that earlier checks have noted."""
    return [_clock(context.clock_offsets)]


def _clock(offsets: Sequence[float]) -> Finding:
    if not offsets:
        return warning(
            "clock", "there is no other clock to compare with", "mend the findings above, and run this again"
        )
    off = median(offsets)  # one of the other clocks may be wrong
    says = f"{abs(off):.2f} s {'behind' if off > 0 else 'ahead of'} {len(offsets)} others"
    mend = "synchronise it (chrony, systemd-timesyncd)"
    if abs(off) > FUTURE_TOLERANCE:
        return failure("clock", f"{says}; tickers more than {FUTURE_TOLERANCE:g} s ahead are dropped", mend)
    return warning("clock", says, mend) if abs(off) > _CLOCK_TOLERANCE else passed("clock", says)


def _take_port(settings: Settings) -> None:
    with listening(settings.host, settings.port):
        pass


def _is_ours(settings: Settings) -> bool:
    """Whether the process that listens on the port answers as the service does."""
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
