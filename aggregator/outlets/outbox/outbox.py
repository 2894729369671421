"""The outbox of outlets: events are written to a file first, and sent from there to every outlet that wants them.

    hand_over -> filters -> file (one transaction) -> a sender for each outlet, from memory while it keeps up

No event is lost while an outlet is away, or when the process is killed. An outlet that hangs holds up no other one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b

import msgspec
import structlog

from aggregator.errors import StoreError
from aggregator.observability.metrics.outlets import OutletMetrics
from aggregator.outlets.address import OutletAddress
from aggregator.outlets.filters import Gaps
from aggregator.outlets.outbox.dead_letters import DeadLetterRetry
from aggregator.outlets.outbox.queue_file import Queued, QueueFile, queued
from aggregator.outlets.outbox.sender import OutletSender
from aggregator.outlets.ports import KeyClaims, Outlet, OutletEvent
from aggregator.ports import OutletStates
from aggregator.resilience.waiting import until_available
from aggregator.stores.letter_archive import LetterArchive
from aggregator.stores.waiting_file import Appended, Row

_MEASURE_SECONDS = 1.0
_PURGES = 10  # of keys, in one round: 50,000 keys a second
_DRAIN_POLL = 0.02
_ENDED = 2  # of the gauge
_ADDRESSED = "alerts"  # the topic whose events may name their outlet, whatever topics that has


class OpenOutlet(msgspec.Struct, frozen=True):
    """An outlet of the settings, and whether this process sends to it now; another one does so otherwise."""

    address: OutletAddress
    outlet: Outlet
    is_sender: Callable[[], bool]

    @property
    def identity(self) -> str:
        """The name and a digest of the address: another outlet of the same name has another one. It has no secret."""
        return f"{self.address.name} {blake2b(self.address.url.encode(), digest_size=16).hexdigest()}"


class OutletOutbox:
    """Takes events for all outlets, and sends them. `now` is unix seconds. `claims` are those of several machines."""

    def __init__(
        self,
        file: QueueFile,
        outlets: Sequence[OpenOutlet],
        metrics: OutletMetrics,
        now: Callable[[], float] = time.time,
        claims: KeyClaims | None = None,
    ) -> None:
        self._file = file
        self._outlets = {one.address.name: one for one in outlets}
        self._metrics = metrics
        self._now = now
        self._retry = DeadLetterRetry(file, now)
        self._gaps = {name: Gaps(one.address.filter.min_gap) for name, one in self._outlets.items()}
        self._senders = {
            name: OutletSender(
                name,
                one.outlet,
                file,
                metrics,
                one.is_sender,
                now,
                None if claims is None else partial(claims.taken, one.identity),
            )
            for name, one in self._outlets.items()
        }
        self._topics = frozenset(topic for one in outlets for topic in one.address.filter.topics)
        self._is_recovered = False
        self._dead = 0
        self._log = structlog.get_logger()

    @property
    def names(self) -> Sequence[str]:
        """The names of the outlets."""
        return list(self._outlets)

    @property
    def states(self) -> OutletStates:
        """Every outlet, and the dead letters of all as of the last measurement."""
        return OutletStates({name: one.problem for name, one in self._senders.items()}, self._dead)

    def wants(self, topic: str) -> bool:
        """Whether any outlet wants events of a topic, or an event may name its outlet."""
        return topic in self._topics or topic == _ADDRESSED

    async def open(self) -> None:
        """Open the file, unless it is open, and learn which outlets have ended. Raises StoreError."""
        await self._file.open()
        last = self._file.last_id  # of what earlier runs have left
        for sender in self._senders.values():
            sender.offer((), Appended((), {}, last, last))
        ended = await self._file.ended()
        for name, one in self._outlets.items():
            self._senders[name].ended = ended.get(one.identity, "")

    async def last_handed(self) -> float | None:
        """As `QueueFile.last_handed`."""
        return await self._file.last_handed()

    def archive_letters(self, archive: LetterArchive) -> None:
        """Archive dead letters that are refused for good."""
        self._retry.archive = archive

    def recovered(self) -> None:
        """Begin to forget the keys of earlier runs: what these may not have handed over has been handed over."""
        self._is_recovered = True

    async def hand_over(self, events: Sequence[OutletEvent]) -> None:
        """Write events for every outlet that wants them; durable when it returns. Raises StoreError."""
        records = [
            queued(name, event)
            for name, one in self._outlets.items()
            if not self._senders[name].ended
            for event in events
            if self._wants(name, one, event)
        ]
        if not records:
            return
        appended = await self._file.append(records)
        for group, rows in appended.given_up.items():
            self._metrics.lost.labels(group).inc(rows)
            self._log.error("outlets_outbox_full", given_up=rows, topics=group)
        self._offer(records, appended)

    def count_lost(self, topic: str, number: int) -> None:
        """Count events that could not be written."""
        self._metrics.lost.labels(topic).inc(number)

    async def run(self) -> None:
        """Send what waits, beginning with what earlier runs have left; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._upkeep())
            group.create_task(self._retry.run())
            for name, sender in self._senders.items():
                group.create_task(self._send(name, sender))

    async def drain(self, patience: float) -> None:
        """Wait at most `patience` seconds until everything is sent that can be. The rest stays for the next start."""
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(patience):
                while await self._waits():  # noqa: ASYNC110  # another process may empty the file
                    await asyncio.sleep(_DRAIN_POLL)

    async def send_all(self, patience: float) -> dict[str, int]:
        """Wait at most `patience` seconds until nothing waits; return how many events are left, by outlet."""
        deadline = time.monotonic() + patience
        while (left := await self._file.left()) and time.monotonic() < deadline:  # noqa: ASYNC110  # another process may empty the file
            await asyncio.sleep(_DRAIN_POLL)
        return left

    async def close(self) -> None:
        """Close the outlets and the file."""
        for name, one in self._outlets.items():
            try:
                await one.outlet.close()
            except Exception as error:  # noqa: BLE001  # the others have to be closed too
                self._log.warning("outlet_not_closed", outlet=name, error=type(error).__name__)
        await self._file.close()

    def _wants(self, name: str, one: OpenOutlet, event: OutletEvent) -> bool:
        if event.outlet in self._outlets:  # one that is not there any more leaves the event to the others
            return event.outlet == name
        return one.address.filter.wants(event) and self._gaps[name].passes(event)

    def _offer(self, records: Sequence[Queued], appended: Appended[Queued]) -> None:
        """Give the rows that were written to their senders, and count them."""
        rows: dict[str, list[Row[Queued]]] = {name: [] for name in self._senders}
        for row in appended.rows:
            rows[row.record.outlet].append(row)
        for name, number in Counter(one.outlet for one in records).items():
            self._metrics.handed.labels(name).inc(len(rows[name]))
            self._metrics.repeated.labels(name).inc(number - len(rows[name]))
        for name, sender in self._senders.items():
            sender.offer(rows[name], appended)

    async def _send(self, name: str, sender: OutletSender) -> None:
        """Run a sender; note durably that its outlet has ended."""
        one = self._outlets[name]
        if not sender.ended:
            await sender.run()
            gone = await until_available(lambda: self._file.end(one.identity, name, sender.ended, self._now()))
            self.count_lost("all", gone)
        self._metrics.away.labels(name).set(_ENDED)
        self._log.error("subscription_ended", outlet=name, reason=sender.ended)

    async def _waits(self) -> bool:
        """Whether any outlet that takes events has some waiting."""
        for name, sender in self._senders.items():
            is_sending = not sender.ended and not sender.trouble and self._outlets[name].is_sender()
            if is_sending and await self._file.oldest(name) is not None:
                return True
        return False

    async def _upkeep(self) -> None:
        """Measure the file, move its journal, delete old keys; never returns."""
        while True:
            with suppress(StoreError):  # a full disk; the senders go on
                await self._file.checkpoint()
                await self._measure()
                for _ in range(_PURGES if self._is_recovered else 0):
                    if not await self._file.purge():
                        break
            await asyncio.sleep(_MEASURE_SECONDS)

    async def _measure(self) -> None:
        size = await self._file.size()
        self._metrics.bytes.set(size.bytes)
        self._metrics.dead.set(size.dead)
        self._dead = size.dead
        for name, one in self._outlets.items():
            oldest = await self._file.oldest(name)
            self._metrics.waiting.labels(name).set(await self._file.count(name))
            self._metrics.oldest.labels(name).set(0 if oldest is None else max(0.0, self._now() - oldest))
            self._metrics.sending.labels(name).set(int(one.is_sender()))
