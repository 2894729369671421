"""The rules in the store of events: shared, kept beyond the retention, and deleted for good."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from aggregator.alerts.rule_book import TOPIC, RuleBook
from aggregator.alerts.rules import Kind, Rule
from aggregator.errors import StoreUnavailable
from aggregator.stores.events.memory import MemoryEvents
from aggregator.trades.ports import StoredEvent
from tests.parts.examples import NOW

DAY = 86_400.0
RETENTION = 30 * DAY


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def rule(name: str, created_at: float = NOW) -> Rule:
    """Return a rule, with a level of its own."""
    above = Decimal(int.from_bytes(name.encode()))
    return Rule(id=name, created_at=created_at, asset="btcusdt", kind=Kind.PRICE, above=above, cooldown=60)


def book(store: MemoryEvents, time: Time) -> RuleBook:
    """Return the rules of one process."""
    return RuleBook(store, RETENTION, time)


async def pass_time(time: Time, seconds: float, books: Sequence[RuleBook]) -> None:
    """Let the time pass, in steps of six hours, in which every process does its background work once."""
    for _ in range(int(seconds // (DAY / 4))):
        time.now += DAY / 4
        for one in books:
            await one.read()
            await one._renew()


async def test_rules_outlive_the_retention_and_deletions_hold() -> None:
    """Over three times the retention, with two processes."""
    time = Time()
    store = MemoryEvents(RETENTION, time)
    first, second = book(store, time), book(store, time)
    for name in ("kept", "deleted"):
        await first.add(rule(name))
    await pass_time(time, 2 * RETENTION, [first, second])
    assert await second.remove("deleted")
    await pass_time(time, 1.5 * RETENTION, [first, second])
    for one in (first, second, book(store, time)):
        await one.read()
        assert [kept.id for kept in one.rules] == ["kept"]
    copies = await store.events(TOPIC, "rules", 0.0, time.now, 100, newest_first=True)
    assert 1 <= len(copies) <= 5  # the copies of one rule, and nothing of the other
    assert {event.id for event in copies} == {"kept"}


async def test_a_change_reaches_the_other_process_and_its_listener() -> None:
    """By a read that starts shortly before the newest change that is known."""
    time = Time()
    store = MemoryEvents(RETENTION, time)
    first, second = book(store, time), book(store, time)
    seen: list[list[str]] = []
    second.on_change(lambda rules: seen.append([one.id for one in rules]))
    await second.read()
    await first.add(rule("a"))
    await second.read()
    await second.read()
    time.now += 10
    await first.add(rule("b", time.now))
    await first.remove("a")
    await second.read()
    assert seen == [["a"], ["b"]]


async def test_many_rules_are_read_in_pages() -> None:
    """And an unreadable one does not keep the others away."""
    time = Time()
    store = MemoryEvents(RETENTION, time)
    events = [StoredEvent("rules", NOW, "odd", b'{"kind":"of another version"}')]
    writer = book(store, time)
    for number in range(999):
        await writer._write(f"r{number}", NOW, rule(f"r{number}"))
    await store.put(TOPIC, events)
    reader = book(store, time)
    await reader.read()
    assert len(reader.rules) == 999


class Outage(MemoryEvents):
    """A store that is away for its first three reads."""

    def __init__(self, retention: float, now: Time) -> None:
        super().__init__(retention, now)
        self.failures = 3

    async def events(self, *args: object, **named: object) -> list[StoredEvent]:
        """Fail, or read."""
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return await super().events(*args, **named)  # type: ignore[arg-type]  # passed on as they came


async def test_an_outage_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background work goes on once the store answers."""
    monkeypatch.setattr("aggregator.alerts.rule_book.POLL_SECONDS", 0.01)
    time = Time()
    store = Outage(RETENTION, time)
    await store.put(TOPIC, [StoredEvent("rules", NOW, "a", b"")])
    known = asyncio.Event()
    one = book(store, time)
    one.on_change(lambda _: known.set())
    await book(store, time)._write("a", NOW, rule("a"))
    async with asyncio.timeout(10):
        task = asyncio.create_task(one.run())
        await known.wait()
        task.cancel()
    assert [kept.id for kept in one.rules] == ["a"]
