"""The stores of events and positions as processes open them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import CannotGoOn, StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.runtime.event_stores import open_events_and_positions
from aggregator.settings import Settings
from aggregator.stores.database import Database
from aggregator.trades.ports import StoredEvent
from tests.parts.examples import NOW

EVENT = StoredEvent("btcusdt", NOW, "1", b"{}")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Return a stack that closes what a test opens."""
    async with AsyncExitStack() as found:
        yield found


def metrics() -> Metrics:
    """Return metrics of their own."""
    return Metrics(CollectorRegistry())


def settings(**chosen: str) -> Settings:
    """Return settings of a process on Redis, which this test does not open."""
    return Settings(cache_url="redis://127.0.0.1:1/0", **chosen)  # type: ignore[arg-type]  # pydantic converts texts


async def test_an_api_process_reads_what_another_one_writes(stack: AsyncExitStack, tmp_path: Path) -> None:
    """On a file that both share."""
    url = f"sqlite:///{tmp_path}/events.db"
    writer = await open_events_and_positions(settings(events_url=url), metrics(), stack, now=lambda: NOW)
    reader = await open_events_and_positions(settings(events_url=url, role="api"), metrics(), stack, now=lambda: NOW)
    await writer.events.put("anomalies", [EVENT])
    assert await reader.events.events("anomalies", "btcusdt", 0, NOW, 9, newest_first=True) == [EVENT]


async def test_a_file_that_cannot_be_used(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the process, but for an API process whose file is the default one: its answers are empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.db").mkdir()
    for chosen in (settings(), settings(role="api", events_url="sqlite:///events.db")):
        with pytest.raises(CannotGoOn, match="AGGREGATOR_EVENTS_URL"):
            await open_events_and_positions(chosen, metrics(), stack)
    found = await open_events_and_positions(settings(role="api"), metrics(), stack)
    assert found.events.name == "memory"


async def test_failures_are_counted(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Each call that fails, by its reason."""
    counted = metrics()
    path = tmp_path / "events.db"
    found = await open_events_and_positions(settings(events_url=f"sqlite:///{path}"), counted, stack)
    other = Database(path, "", 1)
    stack.push_async_callback(other.close)

    await other.write(lambda connection: connection.execute("DROP TABLE events").rowcount)
    with pytest.raises(StoreUnavailable):
        await found.events.put("anomalies", [EVENT])
    with pytest.raises(StoreUnavailable):
        await found.events.events("anomalies", "btcusdt", 0, NOW, 9, newest_first=True)
    assert counted.registry.get_sample_value("analytics_store_errors_total", {"reason": "unavailable"}) == 2
    assert await found.positions.open_positions(["btcusdt"]) == []


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("48h", 172_800), ("90", 90)])
def test_the_retention(text: str, seconds: float) -> None:
    """In seconds, hours or days."""
    assert settings(events_retention=text).events_retention == seconds


@pytest.mark.parametrize("url", ["", "events.db", "postgresql://x/y", "memory://x", "sqlite:///", "dynamodb://e?x=1"])
def test_addresses_that_are_refused(url: str) -> None:
    """With the forms that are allowed."""
    with pytest.raises(ValueError, match="events_url"):
        settings(events_url=url)
