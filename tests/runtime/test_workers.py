"""The children of a group of workers."""

import socket

import pytest

from aggregator.runtime.workers import _processes
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
