"""Subcommands: their own defaults, and wrong settings."""

import argparse
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from aggregator.cli import demo
from aggregator.cli.command import Flags
from aggregator.cli.main import main
from aggregator.settings.loader import load

DEFAULTS = {"data_dir": "data", "retention_days": "1", "trade_feeds": "true", "strategy": "true", "news": "mock"}


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
    ("given", "trades", "models"),
    [
        ({}, "sqlite:///trades.db", "state"),
        ({"data_dir": "data"}, "sqlite:///data/trades.db", "data/state"),
        ({"data_dir": "/var/lib/here"}, "sqlite:////var/lib/here/trades.db", "/var/lib/here/state"),
        ({"data_dir": "data", "trades_url": "sqlite:///t.db", "state_dir": "models"}, "sqlite:///t.db", "models"),
        ({"data_dir": "data", "trades_url": "memory://"}, "memory://", "data/state"),
    ],
)
def test_the_folder_of_files(given: Flags, trades: str, models: str) -> None:
    """It has the files that are not given; these still count as not given."""
    settings = load(given)
    assert (settings.trades_url, settings.state_dir) == (trades, Path(models))
    assert settings.model_fields_set == set(given) | {"port"}
    assert settings.symbols_file == Path("symbols.csv")


def test_where_the_demo_keeps_the_archive() -> None:
    """In its folder, unless the setting says otherwise."""
    addresses = {"exchange1": "http://127.0.0.1:1"}
    assert demo.own_settings(load({"data_dir": "d"}), addresses)["archive_url"] == "file://d/lake"
    assert demo.own_settings(load({"archive_url": "file://a"}), addresses)["archive_url"] == "file://a"


def test_nothing_to_drain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an outbox, the command names the file that is not there, makes none, and ends with 0."""
    assert main(("drain", "--data-dir", str(tmp_path))) == 0
    assert f"there is no outbox at {tmp_path / 'outbox.db'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


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
