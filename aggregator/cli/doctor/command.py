"""`aggregator doctor [--json] [--seconds N]`, with the settings of `serve`."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from aggregator.cli.doctor.examination import Check, Finding, Seen, broken, examine
from aggregator.cli.doctor.exchanges import exchange_check, feed_check
from aggregator.cli.doctor.machine import clock_check, files_check, port_check, settings_check, symbols_check
from aggregator.cli.doctor.report import as_json, as_text, exit_code, without_secrets
from aggregator.cli.doctor.stores import history_checks, redis_check
from aggregator.exchanges.targets import exchange_targets
from aggregator.observability.logs import configure
from aggregator.settings import Settings
from aggregator.settings.loader import SettingsError, load


def command(flags: Mapping[str, str], seconds: float, *, json: bool) -> int:
    """Look at everything and say how it is; return 0 when all is well, 1 with warnings, 2 with failures."""
    try:
        settings = load(flags)
    except SettingsError as error:
        mend = "aggregator serve --help tells what each may be"
        return _say([broken("settings", mistake, mend) for mistake in error.mistakes], json=json)
    configure(settings.log_format, "error")  # what is wrong is in the report
    return asyncio.run(_report(settings, seconds, json=json))


async def _report(settings: Settings, seconds: float, *, json: bool) -> int:
    findings, stuck = await examine(_checks(settings, seconds), seconds)
    code = _say(without_secrets(findings, settings), json=json)
    if stuck:
        os._exit(code)  # a thread that hangs in a system call would be waited for
    return code


def _checks(settings: Settings, seconds: float) -> dict[str, Check]:
    """Return the checks in their order: what the machine has, then what is asked over the network."""
    seen = Seen()
    checks: dict[str, Check] = {
        "settings": partial(settings_check, settings),
        "symbols": partial(symbols_check, settings, seen),
        "port": partial(port_check, settings),
        "files": partial(files_check, settings),
        "redis": partial(redis_check, settings, seen),
    }
    checks |= history_checks(settings)
    if settings.role != "api":  # which asks no exchange
        for exchange in exchange_targets(settings.exchanges):
            checks[f"exchange {exchange.name}"] = partial(exchange_check, settings, exchange, seen)
            if exchange.push_url is not None:
                checks[f"feed {exchange.name}"] = partial(feed_check, settings, exchange, seen, 0.8 * seconds)
    return checks | {"clock": partial(clock_check, seen)}


def _say(findings: Sequence[Finding], *, json: bool) -> int:
    sys.stdout.write(as_json(findings) if json else as_text(findings))
    sys.stdout.flush()
    return exit_code(findings)
