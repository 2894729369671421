"""The store of trades as a process opens it that takes none in."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import CannotGoOn, StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.runtime.attempts import patient
from aggregator.runtime.trade_stores import open_trade_reader, open_trade_store
from aggregator.settings import Settings
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import NOW
from tests.parts.sharing import running, until
from tests.parts.trade_api import trade

RETENTION = 315_360_000  # seconds, so that DynamoDB does not delete trades of NOW


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Return a stack that closes what a test opens."""
    async with AsyncExitStack() as found:
        yield found


def settings(folder: Path, **more: str) -> Settings:
    """Return settings whose files are in the folder."""
    return Settings(trades_outbox_path=folder / "outbox.db", trades_retention=RETENTION, **more)  # type: ignore[arg-type]  # pydantic converts texts


def metrics() -> Metrics:
    """Return metrics of their own."""
    return Metrics(CollectorRegistry())


async def _is_read_elsewhere(chosen: Settings, stack: AsyncExitStack) -> None:
    """Check that a reader finds what the store gets before and after it opens."""
    attempt = patient(asyncio.Event())  # a table may be slow on a busy machine
    store = await open_trade_store(chosen, metrics(), stack, attempt, lambda: NOW)
    async with running(store.run):
        await store.add([trade(1)])
        created = await open_trade_reader(chosen, metrics(), stack, attempt, lambda: NOW)
        assert created is not None
        await store.add([trade(2)])

        async def finds_both() -> bool:
            with suppress(StoreUnavailable):
                found = await created.reader.trades("btcusdt", 0, NOW, 10, newest_first=True)
                latest = await created.reader.latest(["btcusdt", "ethusdt"])
                return found == [trade(2), trade(1)] and latest == {"btcusdt": trade(2)}
            return False

        await until(finds_both)


async def test_a_file_of_another_process(tmp_path: Path, stack: AsyncExitStack) -> None:
    """Both read it; the reader has background work to do."""
    await _is_read_elsewhere(settings(tmp_path, trades_url=f"sqlite:///{tmp_path}/trades.db"), stack)


@pytest.mark.real
async def test_a_table_of_another_process(
    tmp_path: Path, stack: AsyncExitStack, dynamodb_running: DynamoServer
) -> None:
    """The reader needs no outbox: it opens none of the files."""
    chosen = settings(tmp_path, trades_url=dynamodb_running.url(f"trades-{uuid.uuid4()}"))
    await _is_read_elsewhere(chosen, stack)


async def test_the_memory_of_another_process(tmp_path: Path, stack: AsyncExitStack) -> None:
    """Nobody else can read it."""
    assert await open_trade_reader(settings(tmp_path, trades_url="memory://"), metrics(), stack) is None


async def test_a_file_that_cannot_be_used(
    tmp_path: Path, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default one is not needed for prices, so the process starts without it; one that was chosen is needed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trades.db").mkdir()
    assert await open_trade_reader(settings(tmp_path), metrics(), stack) is None
    with pytest.raises(CannotGoOn, match="AGGREGATOR_TRADES_URL"):
        await open_trade_reader(settings(tmp_path, trades_url="sqlite:///trades.db"), metrics(), stack)
