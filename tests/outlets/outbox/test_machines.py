"""Several machines with one outlet: each has a file of its own, and sends what is in it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from aggregator.outlets.outbox.queue_file import QueueFile, queued
from tests.outlets.recording import LARGE, RecordingOutlet, event, running, until


class Claims:
    """`KeyClaims` of one file, in a dictionary that the machines of a test share."""

    def __init__(self, shared: dict[tuple[str, str], str], file: str) -> None:
        self._shared = shared
        self._file = file

    async def taken(self, outlet: str, keys: Sequence[str]) -> AbstractSet[str]:
        """As `KeyClaims.taken`."""
        return {key for key in keys if self._shared.setdefault((outlet, key), self._file) != self._file}


async def test_each_machine_sends_its_events_and_one_of_them_a_key_that_two_have(tmp_path: Path) -> None:
    """The other one deletes the event, and counts it."""
    receiver, shared = RecordingOutlet(), dict[tuple[str, str], str]()
    async with (
        running(tmp_path / "a.db", {"stdout://": receiver}, claims=Claims(shared, "a")) as one,
        running(tmp_path / "b.db", {"stdout://": receiver}, claims=Claims(shared, "b")) as two,
    ):
        await one.outbox.hand_over([event(number) for number in range(10)])
        await two.outbox.hand_over([event(number) for number in range(5, 15)])
        await until(lambda: len(receiver.arrived) >= 15)
        for scene in (one, two):
            await scene.outbox.send_all(5)
            assert await scene.file.left() == {}
        assert sorted(receiver.keys) == sorted(event(number).key for number in range(15))
        counted = [scene.value("outlet_events_deduplicated_total", outlet="stdout") for scene in (one, two)]
        assert sum(counted) == 5


async def test_rows_that_are_known_are_not_read_again(tmp_path: Path) -> None:
    """A scan of the file from its first row returns what other processes have written, and the last id of all rows."""
    file = QueueFile(tmp_path / "a.db", LARGE)
    await file.open()
    events = [event(number, topic=("prices", "trades", "signals")[number % 3]) for number in range(2000)]
    await file.append([queued("desk", one) for one in events])
    await file.append([queued("other", event(5000))])
    rows = await file.waiting("desk", 0, 3000)
    known = {row.id for row in rows[::2]}
    assert await file.waiting_but("desk", 0, 3000, known) == (rows[1::2], rows[-1].id, False)
    assert await file.waiting_but("desk", rows[9].id, 10, {row.id for row in rows}) == ([], rows[19].id, True)
    assert await file.waiting_but("desk", rows[-1].id, 10, ()) == ([], None, False)
    await file.close()


async def test_a_file_keeps_its_identity(tmp_path: Path) -> None:
    """It is that of the file for all processes that share it, and another one for another file."""
    found: list[str] = []
    for path in (tmp_path / "a.db", tmp_path / "a.db", tmp_path / "b.db"):
        file = QueueFile(path, LARGE)
        await file.open()
        found.append(await file.identity())
        await file.close()
    assert found[0] == found[1] != found[2]
