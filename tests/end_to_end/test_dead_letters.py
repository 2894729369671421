"""`aggregator dead-letters`: list, show, replay and delete what DynamoDB has refused for good."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from aggregator.models import Price
from aggregator.stores.outbox_file import OutboxFile
from tests.parts.commands import run_command
from tests.parts.examples import NOW, price

pytestmark = pytest.mark.real


def command(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on this outbox."""
    files = ("--outbox-path", path, "--dead-letters-path", path.with_name("rejected.db"))
    return run_command("dead-letters", *arguments, *files, environment=os.environ)


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Create an outbox with three dead letters."""

    async def make(prices: list[Price]) -> None:
        file = OutboxFile(tmp_path / "outbox.db", 1 << 30)
        await file.open()
        await file.append(prices)
        for row in await file.after(0, 10):
            await file.move_to_dead_letters(row, "ValidationException: no", NOW)
        await file.close()

    asyncio.run(make([price(timestamp=NOW + number) for number in range(3)]))
    return tmp_path / "outbox.db"


def ids(path: Path) -> list[str]:
    """Return the ids that `list` prints."""
    return [line.split()[0] for line in command(path, "list").stdout.splitlines()[:-1]]


def test_list_show_replay_delete(outbox: Path) -> None:
    """Each action works by id, and `all` means the rest; a replayed letter waits in the outbox again."""
    listed = command(outbox, "list")
    assert listed.returncode == 0
    assert listed.stdout.splitlines()[-1] == "3 dead letters"
    assert "btcusdt" in listed.stdout
    assert "ValidationException: no" in listed.stdout
    first, second, third = ids(outbox)
    shown = command(outbox, "show", first).stdout
    assert '"asset":"btcusdt","price":79450.12' in shown
    assert command(outbox, "delete", second).returncode == 0
    assert ids(outbox) == [first, third]
    assert command(outbox, "replay", "all").returncode == 0
    assert ids(outbox) == []

    async def waiting() -> list[float]:
        file = OutboxFile(outbox, 1 << 30)
        await file.open()
        rows = await file.after(0, 10)
        await file.close()
        return [row.record.timestamp for row in rows]

    assert asyncio.run(waiting()) == [NOW, NOW + 2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show",), "say which"),
        (("show", "7"), "there is no dead letter 7"),
        (("delete", "x"), "there is no dead letter x"),
        (("replay", "9" * 40), "there is no dead letter"),
        (("show", "9" * 19), "there is no dead letter"),
    ],
)
def test_what_is_not_there_is_told(outbox: Path, arguments: tuple[str, ...], told: str) -> None:
    """An unknown id is one line and exit code 1, and changes nothing."""
    done = command(outbox, *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(ids(outbox)) == 3


def test_without_an_outbox_there_is_nothing_to_do(tmp_path: Path) -> None:
    """Without an outbox file there is nothing to do, and the command creates none."""
    done = command(tmp_path / "nowhere.db", "list")
    assert done.returncode == 1
    assert "there is no outbox" in done.stderr
    assert not (tmp_path / "nowhere.db").exists()


def test_an_unknown_action_is_a_usage_error(outbox: Path) -> None:
    """An unknown action is a usage error, exit code 2."""
    assert command(outbox, "burn").returncode == 2
