"""`aggregator drain`: a process that only sends what waits in the outbox, and ends."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from aggregator.outlets.outbox.queue_file import QueueFile, queued
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.trades.waiting_trades import WaitingTrades
from tests.outlets.recording import event
from tests.parts.commands import run_command
from tests.parts.dynamodb import DynamoServer
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.examples import NOW, price
from tests.parts.ports import free_port
from tests.parts.site import reply, site
from tests.stores.trades.parts import trade

pytestmark = pytest.mark.real


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Create an outbox with thirty waiting prices."""

    async def make() -> None:
        file = OutboxFile(tmp_path / "outbox.db", 1 << 30)
        await file.open()
        await file.append([price(timestamp=NOW + number) for number in range(30)])
        await file.close()

    asyncio.run(make())
    return tmp_path / "outbox.db"


def waiting(path: Path) -> int:
    """Return the number of waiting prices."""

    async def count() -> int:
        file = OutboxFile(path, 1 << 30)
        await file.open()
        try:
            return (await file.size()).rows
        finally:
            await file.close()

    return asyncio.run(count())


def drain(path: Path, history: str, patience: str = "20") -> subprocess.CompletedProcess[str]:
    """Run the command."""
    options = ("--outbox-path", path, "--history-url", history, "--patience", patience)
    return run_command("drain", *options, environment=os.environ)


def test_what_waits_is_sent(outbox: Path, dynamodb_running: DynamoServer) -> None:
    """All waiting prices are sent, and the command says so; a second run has nothing to do."""
    for _ in range(2):
        drained = drain(outbox, dynamodb_running.url("drained"))
        assert drained.returncode == 0, drained.stdout + drained.stderr
        assert "drained" in drained.stdout + drained.stderr
        assert waiting(outbox) == 0


def test_what_cannot_be_sent_stays(outbox: Path) -> None:
    """Without the table, the command ends with 1 and one line, and keeps every price."""
    drained = drain(outbox, f"dynamodb://drained?region=us-east-1&endpoint=http://127.0.0.1:{free_port()}")
    assert drained.returncode == 1
    assert "Traceback" not in drained.stdout + drained.stderr
    assert waiting(outbox) == 30


def test_patience_ends(outbox: Path, dynamodb_running: DynamoServer) -> None:
    """When its time is over, the command says how many prices are left, and where."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    proxy.faults(throttle_rate=1)
    drained = drain(outbox, proxy.url("impatient"), "0.5")
    proxy.stop()
    assert drained.returncode == 1
    assert f"left in {outbox}: 30 prices" in drained.stderr
    assert waiting(outbox) == 30


def test_waiting_trades_are_sent_too(tmp_path: Path, dynamodb_running: DynamoServer) -> None:
    """Those in the outbox of trades, where trades are in DynamoDB; what cannot be sent is told with its file."""
    path = tmp_path / "trades-outbox.db"

    async def make() -> None:
        file = WaitingTrades(path, 1 << 30)
        await file.open()
        await file.append([trade(number) for number in range(30)])
        await file.close()

    def drain_trades(url: str) -> subprocess.CompletedProcess[str]:
        paths = ["--outbox-path", str(tmp_path / "outbox.db"), "--trades-outbox-path", str(path)]
        history = ["--history-url", f"sqlite:///{tmp_path / 'prices.db'}"]
        options = [*paths, *history, "--trades-url", url, "--patience", "5"]
        return run_command("drain", *options, environment=os.environ)

    asyncio.run(make())
    proxy = DynamoProxy(dynamodb_running.endpoint)
    assert drain_trades(proxy.url("drained-trades")).returncode == 0
    asyncio.run(make())
    proxy.faults(throttle_rate=1)
    drained = drain_trades(proxy.url("drained-trades"))
    proxy.stop()
    assert drained.returncode == 1
    assert f"left in {path}: 30 trades" in drained.stderr


async def test_events_of_outlets_are_sent_too(tmp_path: Path) -> None:
    """Events that an outlet does not take are told with their file, and sent by the next run."""
    path = tmp_path / "outlets.db"
    file = QueueFile(path, 1 << 30)
    await file.open()
    await file.append([queued("desk", event(number)) for number in range(3)])
    await file.close()
    async with site() as receiver:

        async def drain_outlets(patience: str) -> subprocess.CompletedProcess[str]:
            hook = f"{receiver.url('/hook')}?name=desk"
            options = ["--data-dir", str(tmp_path), "--outlets", hook, "--outlets-allow-private", "true"]
            return await asyncio.to_thread(
                run_command, "drain", *options, "--patience", patience, environment=os.environ
            )

        receiver.answers["/hook"] = reply(b"", "503 Service Unavailable")
        refused = await drain_outlets("0.5")
        receiver.answers["/hook"] = reply(b"", "204 No Content")
        drained = await drain_outlets("20")
    assert refused.returncode == 1
    assert f"left in {path}: 3 events of outlets" in refused.stderr
    assert drained.returncode == 0, drained.stdout + drained.stderr
    assert [one["event"]["number"] for one in json.loads(receiver.bodies[-1])] == [0, 1, 2]


@pytest.mark.parametrize("patience", ["0", "-1", "nan", "soon"])
def test_patience_is_a_number_of_seconds(outbox: Path, patience: str) -> None:
    """A patience that is no number of seconds is a usage error."""
    assert drain(outbox, "sqlite:///x.db", patience).returncode == 2
