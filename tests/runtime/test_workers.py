"""The children of a group of workers."""

import socket
from multiprocessing.process import BaseProcess
from typing import cast

import pytest

from aggregator.runtime.workers import _processes, _stop
from aggregator.settings import Settings

REDIS = {"cache_url": "redis://localhost/0", "workers": 2}


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({}, ["api-1", "api-2", "refresher-3"]),
        ({"role": "api"}, ["api-1", "api-2"]),
        ({"trades_log": "kinesis://trades?region=us-east-1"}, ["api-1", "api-2", "refresher-3", "processor-4"]),
    ],
    ids=["all", "api", "shared log"],
)
def test_children(chosen: dict[str, str], names: list[str]) -> None:
    """API processes; with the role `all` a refresher, and a processor if the log of trades is shared."""
    with socket.socket() as listener:
        assert [one.name for one in _processes(Settings.model_validate(REDIS | chosen), listener)] == names


class Child:
    """A child as `_stop` uses it; it ends when it is told to."""

    def __init__(self, name: str, stopped: list[str]) -> None:
        self.name = name
        self._stopped = stopped

    def terminate(self) -> None:
        """Note that this child was told to end."""
        self._stopped.append(self.name)

    def join(self, _: float | None = None) -> None:
        """Do nothing: it has ended."""

    def is_alive(self) -> bool:
        """Return False: it ends at once."""
        return False


def test_stop_reaches_every_child() -> None:
    """A stop ends the API processes first and then all others, the processor of a shared log too."""
    stopped: list[str] = []
    names = ["api-1", "api-2", "refresher-3", "processor-4"]
    _stop(cast("list[BaseProcess]", [Child(name, stopped) for name in names]))
    assert stopped == names
