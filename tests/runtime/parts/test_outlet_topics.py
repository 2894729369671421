"""A topic that an outlet cannot have is refused at the start, with the reason."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from aggregator.errors import CannotGoOn
from aggregator.observability.tracing import UNTRACED
from aggregator.runtime.attempts import attempt
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.parts.build_outlets import open_outlets
from aggregator.runtime.process import Process
from aggregator.settings.loader import SettingsError, load

ALL = {"anomalies": "true", "strategy": "true", "news": "mock"}


async def start(folder: Path, **settings: str) -> None:
    """Open the outlets of a process with these settings. Raises CannotGoOn."""
    found = load({"data_dir": str(folder), **settings})
    async with AsyncExitStack() as stack:
        process = Process(found, catalog_of(found), UNTRACED, stack, asyncio.Event())
        await open_outlets(process, attempt, None)


@pytest.mark.parametrize(
    ("topic", "settings", "reason"),
    [
        ("anomalies", {"anomalies": "false"}, "AGGREGATOR_ANOMALIES"),
        ("signals", {"strategy": "false"}, "AGGREGATOR_STRATEGY is false"),
        ("sentiment", {"news": ""}, "AGGREGATOR_NEWS names no source"),
        ("alerts", {"role": "streams", "table_stream": "dynamodb://t?region=us-east-1"}, "prices and trades only"),
    ],
)
async def test_a_topic_without_events_is_refused(
    tmp_path: Path, topic: str, settings: dict[str, str], reason: str
) -> None:
    """The message names the outlet, the topic, and the setting that would give it events."""
    with pytest.raises(CannotGoOn) as error:
        await start(tmp_path, **(ALL | settings), outlets=f"stdout://?name=desk&topics=prices,{topic}")
    assert f"outlet desk has the topic {topic}, but " in str(error.value)
    assert reason in str(error.value)
    assert "AGGREGATOR_OUTLETS" in str(error.value)


async def test_topics_with_events_are_taken(tmp_path: Path) -> None:
    """All of them, where all analytics are on; and any by a process that leaves trades to others."""
    every = "stdout://?topics=prices,trades,anomalies,signals,sentiment,alerts"
    await start(tmp_path, **ALL, outlets=every)
    await start(tmp_path, role="refresher", cache_url="redis://127.0.0.1:1/0", outlets=every)


def test_features_are_no_topic_of_outlets() -> None:
    """The message says where they are."""
    with pytest.raises(SettingsError) as error:
        load({"outlets": "stdout://?topics=prices,features"})
    assert "features are on /stream and /ws only" in error.value.mistakes[0]
