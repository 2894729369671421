"""`aggregator drain` with other settings than those of the service: it must not say that nothing is left."""

import asyncio
from pathlib import Path

import pytest

from aggregator.cli.main import main
from aggregator.outlets.outbox.queue_file import QueueFile, queued
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.trades.waiting_trades import WaitingTrades
from tests.outlets.recording import LARGE, event
from tests.parts.examples import price
from tests.stores.trades.parts import trade

LEFT = {"outbox.db": "2 prices", "trades-outbox.db": "2 trades", "outlets.db": "2 events of outlets"}


async def fill(folder: Path, name: str, rows: int) -> None:
    """Make an outbox in which rows wait."""
    path = folder / name
    if name == "outbox.db":
        prices = OutboxFile(path, LARGE)
        await prices.open()
        await prices.append([price(timestamp=1.0 + number) for number in range(rows)])
        await prices.close()
    elif name == "trades-outbox.db":
        trades = WaitingTrades(path, LARGE)
        await trades.open()
        await trades.append([trade(number) for number in range(rows)])
        await trades.close()
    else:
        events = QueueFile(path, LARGE)
        await events.open()
        await events.append([queued("desk", event(number)) for number in range(rows)])
        await events.close()


@pytest.mark.parametrize("name", LEFT)
def test_a_file_that_the_settings_send_to_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with 1, and says what is left in which file; nothing is made or lost."""
    asyncio.run(fill(tmp_path, name, 2))
    for _ in range(2):
        assert main(["drain", "--data-dir", str(tmp_path)]) == 1
        told = capsys.readouterr().err
        assert f"left in {tmp_path / name}: {LEFT[name]}; give the settings of the service" in told
    assert not (tmp_path / "prices.db").exists()


def test_empty_files(tmp_path: Path) -> None:
    """There is nothing left in them."""
    for name in LEFT:
        asyncio.run(fill(tmp_path, name, 0))
    assert main(["drain", "--data-dir", str(tmp_path)]) == 0
