"""The registry: a new history needs a line in it, and nothing else that lists the stores."""

import subprocess
import sys
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

from aggregator.cli.doctor.checks import Level, passed
from aggregator.cli.doctor.report import without_secrets
from aggregator.cli.doctor.stores import history_checks
from aggregator.errors import CannotGoOn, StoreUnavailable
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.runtime.stores import open_history
from aggregator.settings.loader import SettingsError, load
from aggregator.stores.definition import CreatedHistory, HistoryParts, HistoryStore, OpenStep
from aggregator.stores.registry import CACHES, HISTORIES, history_forms
from tests.parts.examples import price
from tests.parts.process import ROOT
from tests.parts.scripted import Store

URL = "example://user:secret@host/prices"


class ExampleHistory(Store):
    """A history in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False

    async def open(self) -> None:
        """Open it unless it is away."""
        await self.ping()
        self.is_open = True

    async def ping(self) -> None:
        """Raise StoreUnavailable while it is away."""
        if self.away:
            raise StoreUnavailable("away")

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Return the asset's prices in the range."""
        found = [one for one in self.written if one.asset == symbol and start <= one.timestamp <= end]
        return sorted(found, key=lambda one: one.timestamp, reverse=newest_first)[:limit]

    async def run(self) -> None:
        """Do nothing in the background."""

    async def drain(self, patience: float) -> int:
        """Return that nothing waits."""
        return int(patience * 0)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ExampleHistory:
    """Register a history by one line."""
    history = ExampleHistory()

    def check(url: str) -> None:
        if url != URL:
            raise ValueError("must be example://host/name")

    def create(url: str, parts: HistoryParts) -> CreatedHistory:
        assert (url, parts.retention) == (URL, 86_400)
        return CreatedHistory(history, [OpenStep(history.open, "start it")])

    monkeypatch.setitem(HISTORIES, "example", HistoryStore("example://host/name", "example://…", check, create))
    return history


def mistake(**flags: str) -> str:
    """Return what is wrong with a setting."""
    with pytest.raises(SettingsError) as raised:
        load(flags)
    return str(raised.value)


async def test_a_new_history_needs_one_line(example: ExampleHistory) -> None:
    """Settings accept its URL and show its form; it is opened, used and examined like the others."""
    settings = load({"history_url": URL, "retention_days": "1"})
    assert history_forms().endswith(", or example://…")
    async with AsyncExitStack() as stack:
        history = await open_history(settings, Metrics(CollectorRegistry()), stack)
        await history.write([price()])
        assert await history.latest(["btcusdt"]) == {"btcusdt": price()}
    assert example.is_open
    (check,) = history_checks(settings).values()
    (finding,) = await check()
    assert (finding.level, finding.says) == (Level.OK, "example://host answers")
    (shown,) = without_secrets([passed("history", URL)], settings)
    assert shown.says == "example://user:***@host/prices"


async def test_a_new_history_that_cannot_be_opened_says_what_to_do(example: ExampleHistory) -> None:
    """The store's own remedy and the setting's name are in the error."""
    example.away = True
    settings = load({"history_url": URL, "retention_days": "1"})
    async with AsyncExitStack() as stack:
        with pytest.raises(CannotGoOn, match=r"away; start it \(AGGREGATOR_HISTORY_URL\)"):
            await open_history(settings, Metrics(CollectorRegistry()), stack)


def test_a_wrong_url_names_the_right_ones(example: ExampleHistory) -> None:
    """An unknown scheme lists every store; a known scheme shows the form of its own URL."""
    assert example.is_open is False
    for one in HISTORIES.values():
        assert one.example in mistake(history_url="nosuch://x")
    for other in CACHES.values():
        assert other.example in mistake(cache_url="nosuch://x")
    assert mistake(history_url="example://x").endswith("must be example://host/name")


def test_drivers_are_not_imported_by_the_registry() -> None:
    """Amazon's libraries take 0.3 s, and asyncpg is an extra; checking a URL does not need them."""
    code = """
import sys
from aggregator.settings.loader import load
for url in ("", "sqlite:///x.db", "dynamodb://prices", "postgresql://me@host/market"):
    if url:
        load({"history_url": url})
    assert not {"aioboto3", "asyncpg", "botocore"} & sys.modules.keys(), url
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)
