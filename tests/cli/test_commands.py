"""Subcommands: their own defaults, and wrong settings."""

import argparse
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from aggregator.cli import demo
from aggregator.cli.command import Flags
from aggregator.cli.main import main
from aggregator.settings.loader import load

DEFAULTS = {"retention_days": "1", "trade_feeds": "true", "strategy": "true", "news": "mock"}


def demo_flags(*arguments: str) -> Flags:
    """Return the settings that `aggregator demo` gets from these arguments."""
    parser = argparse.ArgumentParser()
    demo.COMMAND.add_to(parser)
    return demo.COMMAND.flags(parser.parse_args(arguments))


def test_a_default_of_the_command() -> None:
    """It is used where the setting is given nowhere; other settings are not passed on."""
    assert demo_flags() == DEFAULTS


def test_a_flag_overrides_the_default_of_the_command() -> None:
    """As it overrides that of the setting."""
    assert demo_flags("--retention-days", "3", "--port", "0") == DEFAULTS | {"retention_days": "3", "port": "0"}
    assert demo_flags("--trade-feeds", "false") == DEFAULTS | {"trade_feeds": "false"}


@pytest.mark.parametrize("plants", ["-1", "10.1", "nan", "1e1", ""])
def test_plants_out_of_bounds(capsys: pytest.CaptureFixture[str], plants: str) -> None:
    """They are refused with the bounds, before anything starts."""
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"--plants={plants}"])
    assert ended.value.code == 2
    assert "argument --plants: is not a number from 0 to 10" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "names"), [("7", DEFAULTS.keys() - {"retention_days"}), ("", DEFAULTS.keys())])
def test_a_variable_overrides_the_default_of_the_command(
    monkeypatch: pytest.MonkeyPatch, value: str, names: AbstractSet[str]
) -> None:
    """An empty one counts as unset."""
    monkeypatch.setenv("AGGREGATOR_RETENTION_DAYS", value)
    assert demo_flags() == {name: DEFAULTS[name] for name in names}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "sqlite:///trades.db"),
        ({"history_url": "sqlite:////var/lib/prices.db"}, "sqlite:////var/lib/trades.db"),
        ({"history_url": "sqlite:///data/mine.db"}, "sqlite:///data/trades.db"),
        ({"history_url": "sqlite:///data/mine.db", "trades_url": "sqlite:///t.db"}, "sqlite:///t.db"),
        ({"history_url": "dynamodb://prices?region=eu-west-1"}, "sqlite:///trades.db"),
    ],
)
def test_where_the_demo_keeps_trades(given: Flags, url: str) -> None:
    """Beside a history in SQLite, unless the setting says otherwise."""
    assert demo.beside_history(load(given), "trades_url") == url


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"history_url": "sqlite:////var/lib/prices.db"}, "sqlite:////var/lib/events.db"),
        ({"history_url": "sqlite:///data/mine.db", "events_url": "memory://"}, "memory://"),
    ],
)
def test_where_the_demo_keeps_events(given: Flags, url: str) -> None:
    """As with trades."""
    assert demo.beside_history(load(given), "events_url") == url


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({}, "state"),
        ({"history_url": "sqlite:////var/lib/prices.db"}, "/var/lib/state"),
        ({"history_url": "sqlite:///data/mine.db", "state_dir": "models"}, "models"),
        ({"history_url": "dynamodb://prices?region=eu-west-1"}, "state"),
    ],
)
def test_where_the_demo_keeps_models(given: Flags, folder: str) -> None:
    """As with trades."""
    assert demo.path_beside_history(load(given), "state_dir") == Path(folder)


@pytest.mark.parametrize("command", [("drain",), ("dead-letters", "list"), ("symbols",), ("serve",)])
def test_wrong_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """Exit code 2 and one line for each mistake, whichever command reads them."""
    monkeypatch.setenv("AGGREGATOR_PORT", "99999")
    monkeypatch.setenv("AGGREGATOR_HOT_INTERVAL", "-1")
    assert main(command) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("aggregator: AGGREGATOR_") for line in lines)
