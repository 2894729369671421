"""`aggregator doctor [--json] [--seconds N]`, with the settings of `serve`."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from aggregator.doctor.examination import Check, examine
from aggregator.doctor.exchanges import exchange_check
from aggregator.doctor.finding import Finding, broken
from aggregator.doctor.machine import clock_finding, files_check, port_check, settings_check, symbols_check
from aggregator.doctor.report import as_json, as_text, exit_code, without_secrets
from aggregator.doctor.stores import outbox_check, redis_check, sqlite_check, table_check
from aggregator.logs import configure
from aggregator.models import Asset, Tier
from aggregator.settings import DynamoTarget, Settings, SettingsError, exchange_targets, history_target, load

_USUAL = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)  # to ask for where the symbols file cannot be read


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
    findings, stuck = await _examined(settings, seconds)
    code = _say(without_secrets(findings, settings), json=json)
    if stuck:
        os._exit(code)  # a thread that hangs in a system call would be waited for
    return code


async def _examined(settings: Settings, seconds: float) -> tuple[list[Finding], bool]:
    """Look at what the machine has, then at what is asked over the network, for at most `seconds` each."""
    assets: list[Asset] = []
    ahead: list[float] = []
    here, stuck = await examine(_here(settings, assets), seconds)
    there, stuck_too = await examine(_there(settings, assets[0] if assets else _USUAL, ahead), seconds)
    return [*here, *there, clock_finding(ahead)], stuck or stuck_too


def _here(settings: Settings, assets: list[Asset]) -> dict[str, Check]:
    checks: dict[str, Check] = {
        "settings": partial(settings_check, settings),
        "symbols": partial(symbols_check, settings, assets),
        "port": partial(port_check, settings),
        "files": partial(files_check, settings),
    }
    target = history_target(settings.history_url)
    if isinstance(target, DynamoTarget):
        checks["outbox"] = partial(outbox_check, settings)
    else:
        checks["history"] = partial(sqlite_check, target)
    return checks


def _there(settings: Settings, asset: Asset, ahead: list[float]) -> dict[str, Check]:
    checks: dict[str, Check] = {"redis": partial(redis_check, settings, ahead)}
    target = history_target(settings.history_url)
    if isinstance(target, DynamoTarget):
        checks["dynamodb"] = partial(table_check, settings, target)
    if settings.role != "api":  # which asks no exchange
        for exchange in exchange_targets(settings.exchanges):
            checks[f"exchange {exchange.name}"] = partial(exchange_check, settings, exchange.name, asset, ahead)
    return checks


def _say(findings: Sequence[Finding], *, json: bool) -> int:
    sys.stdout.write(as_json(findings) if json else as_text(findings))
    sys.stdout.flush()
    return exit_code(findings)
