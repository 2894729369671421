"""One subcommand of the command line: its help, its options, and the function that runs it."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from aggregator.cli.options import add_setting
from aggregator.observability.logs import configure
from aggregator.settings import PREFIX, Settings
from aggregator.settings.loader import load, service_variables

Flags = Mapping[str, str]
"""Settings that are given as flags: texts by field name."""

ALL_SETTINGS = tuple(Settings.model_fields)


def _no_options(_: argparse.ArgumentParser) -> None:
    """Add nothing."""


class Command(msgspec.Struct, frozen=True):
    """A subcommand. `aggregator/__main__.py` lists all of them, each under its name."""

    help: str
    run: Callable[[argparse.Namespace, Flags], int]
    """Runs it and returns the exit code. Raises SettingsError."""

    settings: Sequence[str]
    """The settings that it takes as flags."""

    add_options: Callable[[argparse.ArgumentParser], None] = _no_options
    """Adds its options that are no settings."""

    defaults: Flags = {}
    """Defaults that differ from those of the settings."""

    description: str | None = None
    """A longer text for its --help."""

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Give the parser every option of this command."""
        parser.description = self.description
        self.add_options(parser)
        for name in self.settings:
            add_setting(parser, name)

    def flags(self, options: argparse.Namespace) -> Flags:
        """Return the settings given as flags, and the command's own defaults of those given nowhere."""
        given = {name: text for name in self.settings if (text := getattr(options, name)) is not None}
        own = {name: text for name, text in self.defaults.items() if not os.environ.get(f"{PREFIX}{name.upper()}")}
        return {**own, **given}


def start(flags: Flags) -> Settings:
    """Return the settings, and set up the log as they say. Raises SettingsError."""
    settings = load(flags)
    configure(settings.log_format, settings.log_level)
    if ignored := service_variables(os.environ):
        structlog.get_logger().info("variables_of_kubernetes_ignored", names=ignored)
    return settings
