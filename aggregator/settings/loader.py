"""Load the settings from environment and flags; report every mistake in them without showing a secret."""

import difflib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aggregator.outlets.address import OutletAddress
from aggregator.outlets.registry import outlets_of
from aggregator.settings import PREFIX, Settings

# A user or a password in a URL, a query in a URL of the exchanges, or a parameter with such a name.
_MAY_BE_SECRET = re.compile(
    r"@|://[^/:?\s]+:(?!\d{1,5}(?:[/?+,]|$))|\+\w+://\S*\?|[?&][\w.-]*(?:pass|pwd|secret|token|key|credential)[\w.-]*=",
    re.IGNORECASE,
)
# A quoted part of an error message; the name and dialect in front of an exchange's URL may be shown.
_ENTRY = re.compile(r"'([a-z0-9_-]{1,32}=(?:ccxt:)?[a-z0-9]{1,32}\+)?(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
# Variables that Kubernetes sets in a container for each Service named aggregator, or aggregator-something.
_SERVICE = re.compile(
    rf"{PREFIX}([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_[A-Z]+(_(ADDR|PROTO|PORT))?)"
)
_SERVICE_PORT = re.compile(rf"{PREFIX}([A-Z0-9_]+_)?PORT")
_SERVICE_ADDRESS = re.compile(r"[a-z]+://\S+:\d+")
_URLS = {
    "history_url",
    "trades_url",
    "trades_log",
    "events_url",
    "archive_url",
    "table_stream",
    "exchanges",
    "cors_origins",
}
_VARIABLE = re.compile(rf"(?<!variable ){PREFIX}([A-Z][A-Z0-9_]*)(=?)")
_SQLITE = "sqlite:///"
_SECRET_ALWAYS = {"api_keys", "read_keys", "kafka_password", "postgres_password", "finnhub_key"}
_ELSEWHERE = {"data_dir", "symbols_file"}  # paths of files that no process writes
_SECRET = _SECRET_ALWAYS | {"cache_url", "news", "outlets"}  # their values are never shown, not even in an error

# Pydantic's other messages begin with "Input should be".
_KINDS = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}

_TOKEN_SHOWN = (
    "--outlets has an address with parameters of the receiver or a long part of a path, which may be a token: all users"
    f" of this machine can read command lines. Set the variable {PREFIX}OUTLETS instead"
)


class SettingsError(ValueError):
    """Some settings are wrong; `mistakes` has one line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def load(flags: Mapping[str, str]) -> Settings:
    """Return the settings; `flags`, by field name, override the environment. Raises SettingsError."""
    ours = {name for name in os.environ if name.startswith(PREFIX)}.difference(service_variables(os.environ))
    mistakes = [_unknown(name) for name in os.environ if name in ours and not _is_known(name)]
    is_shown = "outlets" in flags and any(one.may_show_secret for one in _outlets(flags["outlets"]))
    mistakes += [_TOKEN_SHOWN] if is_shown else []
    if f"{PREFIX}PORT" not in ours:  # the value that Kubernetes set must not be read either
        flags = {"port": str(Settings.model_fields["port"].default), **flags}
    try:
        settings = Settings(**flags)  # type: ignore[arg-type]  # texts, which pydantic checks and converts
    except ValidationError as error:
        # A derived default fails when the setting it derives from is wrong: only that setting is reported.
        wrong = [one for one in error.errors() if one["type"] != "default_factory_not_called"]
        raise SettingsError(mistakes + [_line(one, flags) for one in wrong]) from None
    if mistakes:
        raise SettingsError(mistakes)
    return _in_data_dir(settings)


def named_as_given(text: str, flags: Collection[str]) -> str:
    """Return a message with `--history-url` for `AGGREGATOR_HISTORY_URL` where that setting is among the flags.

    A text that says `the variable AGGREGATOR_…` means the variable.
    """

    def name(found: re.Match[str]) -> str:
        setting = found[1].lower()
        return f"{_flag(setting)}{' ' if found[2] else ''}" if setting in flags else found[0]

    return _VARIABLE.sub(name, text)


def secret_flags(flags: Mapping[str, str]) -> list[str]:
    """Return the flags whose values are secrets, which all users of the machine can read in the list of processes."""
    return sorted(_flag(name) for name in flags if name in _SECRET_ALWAYS and flags[name])


def _flag(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"


def _outlets(text: str) -> list[OutletAddress]:
    try:
        return outlets_of(text)
    except ValueError:  # the settings say what is wrong
        return []


def _in_data_dir(settings: Settings) -> Settings:
    """Return the settings with the files that are not given in `data_dir`. These still count as not given."""
    files: dict[str, object] = {}
    for name in Settings.model_fields.keys() - settings.model_fields_set - _ELSEWHERE:
        value = getattr(settings, name)
        if isinstance(value, Path):
            files[name] = settings.data_dir / value
        elif isinstance(value, str) and value.startswith(_SQLITE):
            files[name] = f"{_SQLITE}{settings.data_dir / value.removeprefix(_SQLITE)}"
    return Settings.model_construct(settings.model_fields_set, **{**dict(settings), **files})


def service_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that Kubernetes has set for a Service named `aggregator`: they are no settings."""
    return [
        name
        for name, value in environment.items()
        if _SERVICE.fullmatch(name) or (_SERVICE_PORT.fullmatch(name) and _SERVICE_ADDRESS.fullmatch(value))
    ]


def _is_known(name: str) -> bool:
    return name.removeprefix(PREFIX).lower() in Settings.model_fields


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), Settings.model_fields, n=1)
    return f"{name}: there is no such setting" + (f"; did you mean {PREFIX}{near[0].upper()}?" if near else "")


def _line(error: ErrorDetails, flags: Collection[str]) -> str:
    """Return one line: the setting as it was given, the reason, and the value unless it may contain a secret."""
    message = _KINDS.get(error["type"]) or error["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
    if not error["loc"]:
        return named_as_given(message, flags)
    name = str(error["loc"][0])
    shown, equals = (_flag(name), " ") if name in flags else (f"{PREFIX}{name.upper()}", "=")
    if name in _SECRET:
        return f"{shown}: {message}"
    value = str(error["input"])
    if name in _URLS and _MAY_BE_SECRET.search(value):
        hidden = _ENTRY.sub(lambda found: f"'{found[1] or ''}…'", message)
        return f"{shown}: {hidden} (parts are hidden, as they may contain a password)"
    return f"{shown}{equals}{value:.100}: {message}"
