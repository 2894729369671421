"""The checks that `aggregator doctor` runs for the settings, and the run of all of them."""

import asyncio
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from aggregator.cli.doctor.archive import archive_check
from aggregator.cli.doctor.checks import Check, Context, Finding, failure, passed, run_checks, warning
from aggregator.cli.doctor.demo import settings_of_demo
from aggregator.cli.doctor.events import event_checks
from aggregator.cli.doctor.exchanges import exchange_check, feed_check
from aggregator.cli.doctor.machine import (
    alerts_check,
    clock_check,
    files_check,
    port_check,
    settings_check,
    symbols_check,
)
from aggregator.cli.doctor.outlets import outlet_checks, outlet_file_checks
from aggregator.cli.doctor.report import as_json, as_text, exit_code, with_flags, without_secrets
from aggregator.cli.doctor.stores import history_checks, redis_check
from aggregator.cli.doctor.table_stream import table_stream_checks
from aggregator.cli.doctor.trades import trade_checks
from aggregator.errors import CannotGoOn
from aggregator.exchanges.targets import exchange_targets
from aggregator.observability.logs import configure
from aggregator.runtime.data_folder import make_folder, remove_folders
from aggregator.settings import Settings
from aggregator.settings.loader import SettingsError, load


def command(flags: Mapping[str, str], seconds: float, *, json: bool) -> int:
    """Run every check and print the report; return 0 when all is well, 1 with warnings, 2 with failures."""
    try:
        settings = load(flags)
        if of_demo := settings_of_demo(settings):
            settings = load({**of_demo, **flags})
    except SettingsError as error:
        mend = "`aggregator serve --help` shows the allowed values"
        return _print([failure("settings", mistake, mend) for mistake in error.mistakes], json=json)
    configure(settings.log_format, "error")  # the report shows what is wrong
    return asyncio.run(_report(settings, flags, seconds, json=json, is_demo=bool(of_demo)))


async def _report(settings: Settings, flags: Collection[str], seconds: float, *, json: bool, is_demo: bool) -> int:
    findings, stuck = await _findings(settings, seconds)
    if is_demo:
        says = f"it runs here, so its settings are checked, and its files in {settings.data_dir}"
        findings.insert(0, passed("demo", says))
    code = _print(with_flags(without_secrets(findings, settings), flags), json=json)
    if stuck:
        os._exit(code)  # a normal exit would wait for a thread that hangs in a system call
    return code


async def _findings(settings: Settings, seconds: float) -> tuple[list[Finding], bool]:
    """Run the checks, as `run_checks`. A missing folder is made for them, as `serve` makes it, and removed again."""
    folder, context = settings.data_dir, Context()
    machine = _of_the_machine(settings, context)
    try:
        made = await asyncio.to_thread(make_folder, folder)
    except CannotGoOn as error:  # the service would not start: its stores, which may be files there, are not checked
        findings, stuck = await run_checks(machine, seconds)
        return [*findings, failure("folder", error.what, error.mend)], stuck
    try:
        findings, stuck = await run_checks(machine | _of_the_network(settings, context, seconds), seconds)
    finally:
        await asyncio.to_thread(remove_folders, made)
    if made:
        mend = "check AGGREGATOR_DATA_DIR, if the service has run before"
        findings.insert(len(machine), warning("folder", f"{folder} does not exist; `serve` makes it", mend))
    return findings, stuck


def _of_the_machine(settings: Settings, context: Context) -> dict[str, Check]:
    """Return the checks that need neither stores nor a network, by name, in their order."""
    return {
        "settings": partial(settings_check, settings),
        "symbols": partial(symbols_check, settings, context),
        "port": partial(port_check, settings),
        "files": partial(files_check, settings),
    }


def _of_the_network(settings: Settings, context: Context, seconds: float) -> dict[str, Check]:
    """Return the checks of stores, outlets and exchanges, and of the clock, which compares with theirs."""
    checks: dict[str, Check] = {"redis": partial(redis_check, settings, context)}
    if settings.role == "streams":  # it has neither stores nor exchanges
        outlets = outlet_file_checks(settings) | outlet_checks(settings, 0.8 * seconds)
        return checks | table_stream_checks(settings, 0.8 * seconds) | outlets
    if settings.alerts_file:
        checks["alerts"] = partial(alerts_check, settings)
    checks |= history_checks(settings) | trade_checks(settings, 0.8 * seconds) | event_checks(settings)
    if settings.archive_url:
        checks["archive"] = partial(archive_check, settings)
    checks |= outlet_file_checks(settings) | outlet_checks(settings, 0.8 * seconds)
    if settings.role not in ("api", "processor"):  # roles without exchanges
        for exchange in exchange_targets(settings.exchanges):
            checks[f"exchange {exchange.name}"] = partial(exchange_check, settings, exchange, context)
            if exchange.push_url is not None:
                checks[f"feed {exchange.name}"] = partial(feed_check, settings, exchange, context, 0.8 * seconds)
    return checks | {"clock": partial(clock_check, context)}


def _print(findings: Sequence[Finding], *, json: bool) -> int:
    sys.stdout.write(as_json(findings) if json else as_text(findings))
    sys.stdout.flush()
    return exit_code(findings)
