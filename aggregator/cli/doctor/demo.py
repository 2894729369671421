"""The demo beside the doctor: its files are in a folder of their own, and its settings have other defaults."""

import http.client
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from aggregator.cli.demo import COMMAND
from aggregator.settings import Settings

_SECONDS = 2.0


class _Ready(msgspec.Struct):
    """The part of GET /ready that tells a demo from another service."""

    invented_market: bool = False


def settings_of_demo(settings: Settings) -> Mapping[str, str]:
    """Return the demo's own defaults, of those that are not given, if a demo with files in this folder has the port."""
    given = settings.model_fields_set
    folder = COMMAND.defaults["data_dir"]
    if "data_dir" in given or not settings.data_dir.joinpath(folder).is_dir() or not _is_demo(settings.port):
        return {}
    return {name: text for name, text in COMMAND.defaults.items() if name not in given}


def _is_demo(port: int) -> bool:
    """Whether a service with an invented market listens on the port of this machine."""
    connection = http.client.HTTPConnection("localhost", port, timeout=_SECONDS)
    with suppress(OSError, http.client.HTTPException, msgspec.MsgspecError):
        connection.request("GET", "/ready")
        return msgspec.json.decode(connection.getresponse().read(), type=_Ready).invented_market
    return False
