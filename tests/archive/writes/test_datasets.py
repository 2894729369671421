"""Prices, anomalies, signals and sentiment from their stores to files."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.anomalies.event import Anomaly, stored_anomaly
from aggregator.archive.datasets import ANOMALIES, PRICES, SENTIMENT, SIGNALS, Dataset
from aggregator.archive.duck import connect
from aggregator.archive.sources import StoredEvents, StoredPrices
from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.storages.registry import open_storage
from aggregator.archive.writes.archiver import Archiver, Channel
from aggregator.archive.writes.marked_sinks import MarkedEvents, MarkedPrices
from aggregator.archive.writes.marker import Marker
from aggregator.archive.writes.marks import Marks
from aggregator.models import encode
from aggregator.news.articles import SentimentItem
from aggregator.news.topic import stored_event
from aggregator.observability.metrics.archive import ArchiveMetrics
from aggregator.stores.events.memory import MemoryEvents
from aggregator.stores.sqlite import SqliteHistory
from aggregator.strategy.signals import Signal, stored_signal
from tests.archive.parts import HOUR
from tests.parts.examples import price


async def _archived(channels: Sequence[Channel], folder: Path) -> None:
    address = FolderAddress(folder / "lake")
    storage = open_storage(address, folder)
    metrics = ArchiveMetrics(CollectorRegistry())
    archiver = Archiver(storage, partial(connect, address), channels, metrics, lambda: HOUR + 4000)
    try:
        await archiver.archive_due()
    finally:
        await archiver.close()


def rows(folder: Path, dataset: Dataset) -> list[dict[str, Any]]:
    """Return the rows of a dataset, times in seconds."""
    connection = connect()
    columns = [f"epoch_us({one}) / 1e6 AS {one}" if "TIME" in kind else one for one, kind in dataset.columns.items()]
    try:
        found = connection.execute(
            f"SELECT {', '.join(columns)} FROM read_parquet('{folder}/lake/{dataset.name}/**/*.parquet')"  # noqa: S608  # of constants
            " ORDER BY timestamp"
        )
        return [dict(zip(dataset.columns, row, strict=True)) for row in found.fetchall()]
    finally:
        connection.close()


async def test_prices(tmp_path: Path) -> None:
    """With their sources as JSON, every digit, and a price made again once."""
    history = SqliteHistory(tmp_path / "prices.db")
    await history.open()
    marks = Marks(tmp_path / "archive.db")
    await marks.open()
    marker = Marker(marks, PRICES, 300)
    prices = [
        msgspec.structs.replace(
            price(), timestamp=HOUR + at, updated_at=HOUR + at + 0.5, price=Decimal("1.23456789012")
        )
        for at in (1.25, 2.0, 301.0)
    ]
    sink = MarkedPrices(history, marker)
    await sink.write(prices)
    await sink.write(prices[:1])
    await _archived([Channel(StoredPrices(history), marker)], tmp_path)
    found = rows(tmp_path, PRICES)
    assert [one["timestamp"] for one in found] == [one.timestamp for one in prices]
    assert found[0]["price"] == prices[0].price
    assert found[0]["updated_at"] == prices[0].updated_at
    assert found[0]["sources"] == encode(prices[0].sources).decode()
    assert not marker.pending
    await history.close()
    await marks.close()


ANOMALY = Anomaly("btcusdt", HOUR + 1, "t1", "okx", -0.75, -0.6, (1.5, 2.0, 1e-9, -4.0, 0.0, 6.0), "v1")
SIGNAL = Signal("s1", "btcusdt", "sell", "gain", Decimal("1.05"), Decimal("1E-30"), HOUR + 2, "p1", Decimal("-0.5"))
ITEM = SentimentItem("btcusdt", "a1", 'A "headline"', "mock", "http://a.example", HOUR + 3, 0.8, "positive", "strong")


async def test_events(tmp_path: Path) -> None:
    """Each topic with columns of its own; an event that is put again replaces the one in the file."""
    store = MemoryEvents(1e9, lambda: HOUR + 4000)
    marks = Marks(tmp_path / "archive.db")
    await marks.open()
    markers: dict[str, Marker] = {one.name: Marker(marks, one, 3600) for one in (ANOMALIES, SIGNALS, SENTIMENT)}
    marked = MarkedEvents(store, markers)
    channels = [Channel(StoredEvents(marked, one.dataset), one) for one in markers.values()]
    await marked.put("anomalies", [stored_anomaly(ANOMALY)])
    await marked.put("signals", [stored_signal(SIGNAL)])
    await marked.put("sentiment", [stored_event(msgspec.structs.replace(ITEM, correlation_strength="weak"))])
    await marked.put("alerts", [stored_signal(SIGNAL)])
    await _archived(channels, tmp_path)
    await marked.put("sentiment", [stored_event(ITEM)])
    await _archived(channels, tmp_path)
    (anomaly,), (signal,), (item,) = (rows(tmp_path, one) for one in (ANOMALIES, SIGNALS, SENTIMENT))
    expected = msgspec.to_builtins(ANOMALY)
    assert {name: anomaly[name] for name in expected} == expected | {
        "id": "okx:t1",
        "feature_vector": list(ANOMALY.feature_vector),
    }
    expected = msgspec.to_builtins(SIGNAL, builtin_types=(Decimal,))
    del expected["paper"]
    assert signal == expected | {"quantity": 0, "exact": '{"quantity":"1E-30"}'}
    assert item["headline"] == ITEM.headline
    assert item["timestamp"] == ITEM.published_at
    assert item["correlation_strength"] == "strong"
    await marks.close()
