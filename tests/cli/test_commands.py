"""Subcommands: their own defaults, and wrong settings."""

import argparse

import pytest

from aggregator.cli import demo
from aggregator.cli.command import Flags
from aggregator.cli.main import main


def demo_flags(*arguments: str) -> Flags:
    """Return the settings that `aggregator demo` gets from these arguments."""
    parser = argparse.ArgumentParser()
    demo.COMMAND.add_to(parser)
    return demo.COMMAND.flags(parser.parse_args(arguments))


def test_a_default_of_the_command() -> None:
    """It is used where the setting is given nowhere; other settings are not passed on."""
    assert demo_flags() == {"retention_days": "1"}


def test_a_flag_overrides_the_default_of_the_command() -> None:
    """As it overrides that of the setting."""
    assert demo_flags("--retention-days", "3", "--port", "0") == {"retention_days": "3", "port": "0"}


@pytest.mark.parametrize(("value", "flags"), [("7", {}), ("", {"retention_days": "1"})])
def test_a_variable_overrides_the_default_of_the_command(
    monkeypatch: pytest.MonkeyPatch, value: str, flags: dict[str, str]
) -> None:
    """An empty one counts as unset."""
    monkeypatch.setenv("AGGREGATOR_RETENTION_DAYS", value)
    assert demo_flags() == flags


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
