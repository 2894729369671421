"""The keeper of the 24-hour figures: from history after a start, from the bus afterwards, and never wrong between."""

import asyncio
import uuid
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.prices import day_reader, figures_keeper
from aggregator.prices.day_figures import DAY
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.outbox import Outbox
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.dynamodb import PATIENT_SECONDS, DynamoServer
from tests.parts.examples import NOW, price
from tests.parts.memory_history import MemoryHistory
from tests.parts.serving import until
from tests.prices.day_figures import DAY_OF_PRICES, NEWEST, SINCE, SYMBOLS, Scene, amounts, stored


@pytest.mark.parametrize("page", [1, 2, 3, 250])
async def test_after_a_start_the_figures_come_from_history(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages it is read in; until then there is the volume and the reason."""
    monkeypatch.setattr(day_reader, "_PAGE", page)
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    scene = Scene(history)
    assert (amounts(scene.of()), scene.of().figures_reason) == ((None, None, None), "loading")
    assert scene.of().volume_24h == sum(source.volume for source in NEWEST.sources)
    async with scene.running():
        await scene.read()
        assert amounts(scene.of()) == (20, 120, 90)
        assert (scene.of().change_24h_percent, scene.of().figures_since) == (Decimal(25), SINCE)


@pytest.mark.parametrize("page", [1, 2, 3, 20_000])
@pytest.mark.parametrize("highest", range(6))
async def test_no_price_is_lost_between_two_pages_of_summaries(
    page: int, highest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices a second apart, in one bucket and across its end, wherever the highest is."""
    monkeypatch.setattr(day_reader, "_SUMMARIZED", page)
    history = SqliteHistory(tmp_path / "prices.db", now=lambda: NOW)
    await history.open()
    amounts_by_time = [(SINCE + 297 + number, 120 if number == highest else 90) for number in range(6)]
    await history.write(stored((SINCE - 50, 80), *amounts_by_time))
    scene = Scene(history)
    async with scene.running():
        await scene.read("btcusdt")
        assert amounts(scene.of()) == (20, 120, 90)
    await history.close()


async def test_the_hottest_are_read_first_and_each_once() -> None:
    """Whatever was published meanwhile."""
    history = MemoryHistory()
    scene = Scene(history)
    scene.keeper.receive([price("cold"), NEWEST])
    async with scene.running():
        await scene.read()
    assert list(dict.fromkeys(history.asked)) == ["btcusdt", "medium", "cold"]
    assert len(history.asked) == 2 * len(SYMBOLS)  # the price before the day, and the day


async def test_with_very_many_assets_the_window_begins_at_a_full_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the prices of a day take less memory. The figures say where it begins, and are exact from there on."""
    monkeypatch.setattr(figures_keeper, "_MOST_FINE", 2)
    history = MemoryHistory()
    await history.write(stored((NOW - DAY - 3599, 80), (NOW - DAY, 120), (NOW, 100)))
    scene = Scene(history)
    async with scene.running():
        await scene.read()
        assert scene.of().figures_since == (NOW - DAY) // 3600 * 3600
        assert amounts(scene.of()) == (20, 120, 100)


async def test_a_young_history_says_so() -> None:
    """Until a price is a day old; the figures then begin without another read."""
    history = MemoryHistory()
    await history.write(stored((NOW - DAY + 10, 70), (NOW, 100)))
    scene = Scene(history)
    async with scene.running():
        await scene.read()
        assert scene.of().figures_reason == "history_too_young"
        scene.now = NOW + 310
        assert amounts(scene.of()) == (30, 100, 100)


async def test_a_sparkline_has_the_last_price_of_each_half_hour() -> None:
    """From the price where the window begins on, and without prices ahead of our clock; less while it is read."""
    history = MemoryHistory()
    await history.write(
        stored((NOW - DAY - 3599, 80), *((NOW - minutes * 60, minutes) for minutes in range(1, 1440, 7)))
    )
    scene = Scene(history)
    assert scene.keeper.sparkline("btcusdt", NOW) == ([], "loading")
    async with scene.running():
        await scene.read()
        scene.keeper.receive([price(timestamp=NOW + 1, amount="130")])
        points, reason = scene.keeper.sparkline("btcusdt", NOW)
    assert reason is None
    assert 45 <= len(points) <= 51
    assert (points[0], points[-1]) == ((SINCE, 80.0), (NOW + 1, 130.0))
    assert all(1200 <= later[0] - one[0] <= 3000 for one, later in pairwise(points[1:-1]))
    assert scene.keeper.sparkline("nosuch", NOW)[0] == []


async def test_new_prices_count_at_once() -> None:
    """Those of the bus; not one ahead of our clock, nor one of an asset that is not listed."""
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    scene = Scene(history)
    async with scene.running():
        await scene.read()
        newest = price(timestamp=NOW + 1, amount="130")
        scene.keeper.receive([newest, price(timestamp=NOW + 60, amount="999"), price("unlisted")])
        assert amounts(scene.of(newest)) == (50, 130, 90)


async def test_prices_published_during_a_read_are_not_lost() -> None:
    """Though the read has its result from before."""
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    scene = Scene(history)
    history.slow = asyncio.Event()
    async with scene.running():
        await until(lambda: bool(history.asked))
        peak, newest = stored((NOW + 1, 150), (NOW + 2, 110))
        scene.keeper.receive([peak, newest])
        assert scene.of(newest).figures_reason == "loading"
        history.slow.set()
        await scene.read()
        assert amounts(scene.of(newest)) == (30, 150, 90)


@pytest.mark.parametrize("is_read_before", [True, False])
async def test_what_was_published_during_a_cut_is_read_afterwards(*, is_read_before: bool) -> None:
    """During the cut there are no figures, because a price may be missing."""
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    scene = Scene(history)
    async with scene.running():
        scene.keeper.connected()
        if is_read_before:
            await scene.read()
        scene.keeper.disconnected()
        assert scene.of().figures_reason == "cut_off"
        peak, newest = stored((NOW + 1, 150), (NOW + 2, 110))
        await history.write([peak, newest])
        scene.keeper.connected()
        scene.keeper.receive([newest])
        assert scene.of(newest).figures_reason == "loading"
        await scene.read()
        assert amounts(scene.of(newest)) == (30, 150, 90)


async def test_a_price_from_before_the_first_connection_is_not_lost() -> None:
    """It was stored after the history was read, and published before the bus was connected."""
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    scene = Scene(history)
    async with scene.running():
        await scene.read()
        await history.write(stored((NOW + 1, 150)))
        scene.keeper.connected()
        await scene.read()
        assert scene.of().high_24h == 150


async def test_what_waited_in_an_outbox_is_read_a_minute_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price that the table gets only after the read, and that no bus brings. The figures stay meanwhile."""
    monkeypatch.setattr(figures_keeper, "_OUTBOX_SECONDS", 0.05)
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    scene = Scene(history)
    async with scene.running():
        await scene.read()
        await history.write(stored((NOW - 1, 150)))
        history.away = True
        reads = len(history.asked)
        scene.monotonic += 1
        await until(lambda: len(history.asked) > reads)
        assert amounts(scene.of()) == (20, 120, 90)
        history.away = False
        scene.monotonic += 1
        await until(lambda: scene.of().high_24h == 150)


async def test_a_history_that_is_away_is_read_later() -> None:
    """The reason says that it cannot be read; the other assets are tried too."""
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    history.away = True
    scene = Scene(history)
    async with scene.running():
        await until(lambda: {*history.asked} == {*SYMBOLS})
        assert scene.of().figures_reason == "history_unavailable"
        history.away = False
        await scene.read()
        assert amounts(scene.of()) == (20, 120, 90)


async def test_a_history_that_hangs_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read has a time limit."""
    monkeypatch.setattr(day_reader, "_SECONDS", 0.01)
    history = MemoryHistory()
    await history.write(DAY_OF_PRICES)
    history.slow = asyncio.Event()
    scene = Scene(history)
    async with scene.running():
        await until(lambda: scene.of().figures_reason == "history_unavailable")
        history.slow.set()
        await scene.read()
        assert amounts(scene.of()) == (20, 120, 90)


@pytest.mark.real
async def test_from_dynamodb(dynamodb_running: DynamoServer, tmp_path: Path) -> None:
    """Prices in the table and in the outbox count alike. DynamoDB cannot summarise, so each price is read."""
    metrics = Metrics(CollectorRegistry())
    name, endpoint = f"prices-{uuid.uuid4()}", dynamodb_running.endpoint
    table = DynamoTable(name, "us-east-1", endpoint, metrics, query_seconds=PATIENT_SECONDS)
    await table.open()
    history = Outbox(tmp_path / "outbox.db", 1 << 30, table, metrics)
    await history.open()
    await table.put(DAY_OF_PRICES[:2])
    await history.write(DAY_OF_PRICES[2:])  # not sent: the outbox does not run
    scene = Scene(history)
    async with scene.running():
        await scene.read()
        assert amounts(scene.of()) == (20, 120, 90)
    await history.close()
