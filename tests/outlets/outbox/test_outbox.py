"""The outbox of outlets: order, deduplication, outages, dead letters, the bound of the file, several processes."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from aggregator.observability.bounded_log import MOST_LINES
from aggregator.outlets.outbox.dead_letters import MOST_RETRIES, RETRY_SECONDS, DeadLetterRetry
from aggregator.outlets.ports import Answer, OutletAway, OutletEnded, OutletEvent, Verdict
from aggregator.stores.letter_archive import ArchivedLetter
from tests.outlets.recording import RecordingOutlet, event, running, until

REFUSED = Answer(Verdict.REFUSED, "bad")
ANY = "stdout://?topics=prices,trades,signals,alerts"


def away(_: Sequence[OutletEvent]) -> Sequence[Answer]:
    """Be away."""
    raise OutletAway("away")


def ended(_: Sequence[OutletEvent]) -> Sequence[Answer]:
    """Be gone."""
    raise OutletEnded("410")


def refuse(events: Sequence[OutletEvent]) -> Sequence[Answer]:
    """Refuse every event."""
    return [REFUSED for _ in events]


async def test_every_event_arrives_once_and_in_the_order_of_its_asset(tmp_path: Path) -> None:
    """In batches, several of them at a time, while some are not taken."""
    outlet = RecordingOutlet()
    outlet.next.extend([away, away])
    events = [event(number, asset) for number in range(100) for asset in ("btcusdt", "ethusdt", "solusdt")]
    async with running(tmp_path / "outlets.db", {ANY: outlet}) as scene:
        for first in range(0, len(events), 30):
            await scene.outbox.hand_over(events[first : first + 30])
        await until(lambda: len(outlet.arrived) == len(events))
        assert sorted(outlet.keys) == sorted(one.key for one in events)
        for asset in ("btcusdt", "ethusdt", "solusdt"):
            times = [one.timestamp for one in outlet.arrived if one.asset == asset]
            assert times == sorted(times)
        assert max(outlet.batches) > 1
        await until(lambda: scene.value("outlet_events_delivered_total", outlet="stdout") == len(events))
        assert scene.value("outlet_retries_total", outlet="stdout") > 0


async def test_a_key_arrives_once_in_300_seconds_also_after_a_restart(tmp_path: Path) -> None:
    """A key that waits, or was sent, is not sent again."""
    path = tmp_path / "outlets.db"
    outlet = RecordingOutlet()
    async with running(path, {ANY: outlet}) as scene:
        await scene.outbox.hand_over([event(1), event(1), event(2)])
        await until(lambda: len(outlet.arrived) == 2)
        await scene.outbox.hand_over([event(2), event(3)])
        await until(lambda: len(outlet.arrived) == 3)
        assert scene.value("outlet_events_deduplicated_total", outlet="stdout") == 2
    async with running(path, {ANY: outlet}) as scene:
        await scene.outbox.hand_over([event(3), event(1), event(4)])
        await until(lambda: len(outlet.arrived) == 4)
    assert sorted(outlet.keys) == [event(number).key for number in (1, 2, 3, 4)]


async def test_a_key_is_forgotten_300_seconds_after_it_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys of events that wait are not forgotten, however long they wait."""
    outlet = RecordingOutlet()
    async with running(tmp_path / "outlets.db", {ANY: outlet}) as scene:
        await scene.outbox.hand_over([event(1)])
        await until(lambda: len(outlet.arrived) == 1)
        outlet.always = away
        await scene.outbox.hand_over([event(2)])
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + 320 * 1_000_000_000)
        await scene.file.purge()
        await scene.outbox.hand_over([event(1), event(2)])
        outlet.always = None
        await until(lambda: len(outlet.arrived) == 3)
        assert sorted(outlet.keys) == [event(1).key, event(1).key, event(2).key]


async def test_what_an_outlet_has_not_taken_is_sent_after_a_restart(tmp_path: Path) -> None:
    """Also where it was away all the time."""
    path = tmp_path / "outlets.db"
    outlet = RecordingOutlet()
    outlet.always = away
    async with running(path, {ANY: outlet}) as scene:
        await scene.outbox.hand_over([event(1), event(2)])
        await until(lambda: scene.outbox.states.problems == {"stdout": "away"})
    outlet.always = None
    async with running(path, {ANY: outlet}) as scene:
        await until(lambda: len(outlet.arrived) == 2)
        await until(lambda: scene.outbox.states.problems == {"stdout": ""})


async def test_an_outlet_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    """Each outlet has a sender of its own, and a filter of its own."""
    hanging, other, signals = RecordingOutlet(), RecordingOutlet(), RecordingOutlet()
    hanging.hangs = True
    outlets = {
        "stdout://?name=hanging": hanging,
        "stdout://?name=other": other,
        "stdout://?name=signals&topics=signals": signals,
    }
    async with running(tmp_path / "outlets.db", outlets) as scene:
        await scene.outbox.hand_over([event(number, f"asset{number}") for number in range(50)])
        await scene.outbox.hand_over([event(1, topic="signals")])
        await until(lambda: len(other.arrived) == 50 and len(signals.arrived) == 1)
        assert not hanging.arrived
        hanging.hangs = False
        await until(lambda: len(hanging.arrived) == 50)


async def test_an_alert_that_names_its_outlet_goes_there_only(tmp_path: Path) -> None:
    """Whatever its topics; other alerts, and those of an outlet that is not there, go to all that want the topic."""
    ops, all_ = RecordingOutlet(), RecordingOutlet()
    outlets = {"stdout://?name=ops&topics=prices": ops, "stdout://?name=all&topics=alerts": all_}
    async with running(tmp_path / "outlets.db", outlets) as scene:
        assert scene.outbox.wants("alerts")
        named = [event(number, topic="alerts", outlet=name) for number, name in enumerate(("ops", "", "gone"))]
        await scene.outbox.hand_over(named)
        await until(lambda: len(ops.arrived) == 1 and len(all_.arrived) == 2)
        assert ops.keys == [named[0].key]


async def test_an_event_that_is_refused_three_times_is_a_dead_letter(tmp_path: Path) -> None:
    """It comes back every 15 minutes, five times, and is archived then; the others are delivered."""
    archived: list[tuple[str, bytes]] = []

    class Archive:
        async def put_file(self, path: str, body: bytes) -> bool:
            archived.append((path, body))
            return True

    outlet = RecordingOutlet()

    def refuse_first(events: Sequence[OutletEvent]) -> Sequence[Answer]:
        return [REFUSED if one.timestamp == 1 else Answer() for one in events]

    outlet.always = refuse_first
    async with running(tmp_path / "outlets.db", {ANY: outlet}) as scene:
        early = DeadLetterRetry(scene.file, time.time, Archive())
        retry = DeadLetterRetry(scene.file, lambda: time.time() + RETRY_SECONDS + 60, Archive())
        await scene.outbox.hand_over([event(1), event(2)])
        for retries in range(MOST_RETRIES + 1):
            await until(lambda r=retries: scene.value("outlet_dead_letters_added_total", outlet="stdout") == r + 1)  # type: ignore[misc]  # of this round
            if retries < MOST_RETRIES:
                assert await early.retry_due() == 0
                assert await retry.retry_due() == 1
        assert await retry.retry_due() == 1
        assert await scene.file.dead_letters(0, 10) == []
        assert outlet.batches.count(1) >= 3 * MOST_RETRIES
        assert archived[0][0].startswith("dead-letters/20")
        letter = msgspec.json.decode(archived[0][1], type=ArchivedLetter)
        assert letter.reason == "bad"
        assert (letter.kind, letter.source, letter.retries) == ("outlet", "stdout", MOST_RETRIES)
        assert '"number":1' in letter.raw


async def test_many_refused_events_do_not_fill_the_log(tmp_path: Path) -> None:
    """Each is a dead letter, and most of their lines are at debug."""
    outlet = RecordingOutlet()
    outlet.always = refuse
    with capture_logs() as logs:
        async with running(tmp_path / "outlets.db", {ANY: outlet}) as scene:
            await scene.outbox.hand_over([event(number) for number in range(2 * MOST_LINES)])
            added = "outlet_dead_letters_added_total"
            await until(lambda: scene.value(added, outlet="stdout") == 2 * MOST_LINES)
    assert len([line for line in logs if line["log_level"] == "error"]) == MOST_LINES


async def test_an_outage_makes_no_dead_letter(tmp_path: Path) -> None:
    """However often the outlet is away, its events wait."""
    outlet = RecordingOutlet()
    outlet.next.extend([away] * 8)
    async with running(tmp_path / "outlets.db", {ANY: outlet}) as scene:
        await scene.outbox.hand_over([event(1)])
        await until(lambda: len(outlet.arrived) == 1)
        assert (await scene.file.size()).dead == 0


async def test_an_outlet_that_has_ended_stays_ended(tmp_path: Path) -> None:
    """Events that wait for it are deleted and counted; another address under the same name begins anew."""
    path = tmp_path / "outlets.db"
    outlet = RecordingOutlet()
    outlet.always = ended
    async with running(path, {ANY: outlet}) as scene:
        await scene.outbox.hand_over([event(1)])
        await until(lambda: scene.value("outlet_away", outlet="stdout") == 2)
        assert scene.outbox.states.problems == {"stdout": "ended: 410"}
    outlet.always = None
    async with running(path, {ANY: outlet}) as scene:
        assert scene.outbox.states.problems == {"stdout": "ended: 410"}
        await scene.outbox.hand_over([event(2)])
        assert await scene.file.oldest("stdout") is None


async def test_a_full_file_gives_up_prices_first_and_signals_never(tmp_path: Path) -> None:
    """The oldest prices go, and are counted."""
    outlet = RecordingOutlet()
    outlet.always = away
    large = 20_000
    async with running(tmp_path / "outlets.db", {ANY: outlet}, most_bytes=1 << 20) as scene:
        for number in range(100):
            for topic in ("signals", "prices") if number < 30 else ("prices",):
                one = event(number, topic=topic)
                body = b'{"text":"' + b"x" * large + b'"}'
                await scene.outbox.hand_over([OutletEvent(topic, one.asset, one.key, one.timestamp, body, "hot")])
        lost = scene.value("outlet_events_given_up_total", topic="prices")
        assert 0 < lost <= 100
        outlet.always = None
        await until(lambda: len({key for key in outlet.keys if key.startswith("signals")}) == 30)


async def test_losses_begin_at_zero(tmp_path: Path) -> None:
    """The series of the alert exist before the first loss; otherwise the alert would not see it."""
    async with running(tmp_path / "outlets.db", {ANY: RecordingOutlet()}) as scene:
        found = {
            one.labels["topic"]: one.value
            for family in scene.metrics.registry.collect()
            for one in family.samples
            if one.name == "outlet_events_given_up_total"
        }
    assert found == {"prices": 0.0, "rest": 0.0, "all": 0.0}


async def test_one_of_two_processes_with_one_file_sends(tmp_path: Path) -> None:
    """The other one takes over when the lease moves; nothing is lost, and nothing is sent twice."""
    path = tmp_path / "outlets.db"
    sender = "first"
    first, second = RecordingOutlet(), RecordingOutlet()
    async with (
        running(path, {ANY: first}, held=lambda: sender == "first") as one,
        running(path, {ANY: second}, held=lambda: sender == "second") as two,
    ):
        for number in range(20):
            await (one, two)[number % 2].outbox.hand_over([event(number)])
        await until(lambda: len(first.arrived) == 20, 20)
        sender = "second"
        await one.outbox.hand_over([event(3), event(20)])
        await two.outbox.hand_over([event(21)])
        await until(lambda: len(second.arrived) == 2, 20)
        assert first.keys == [event(number).key for number in range(20)]
        assert second.keys == [event(number).key for number in (20, 21)]
