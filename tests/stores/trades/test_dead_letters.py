"""Dead letters of trades: buried at once and written soon, bounded, and tried again where the reason may pass."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.models import Trade, encode
from aggregator.observability.metrics import Metrics
from aggregator.stores.dead_letter_file import MOST_RAW, DeadLetterFile, FailedLetter, FailedRecord
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.trades.dead_letters import MOST_RETRIES, TradeDeadLetters
from aggregator.trades.event_log.records import RecordParser, rejected_trade
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import BacklogFull, Receipt
from aggregator.trades.rejection import Rejection
from aggregator.trades.validation import InvalidTrade
from tests.parts import processing
from tests.parts.clock import Clock
from tests.parts.examples import NOW
from tests.stores.trades.parts import trade, until

QUARTER = 900.0


def rejection(number: int = 0, code: str = "price", raw: bytes | None = None, source: str = "ingest") -> Rejection:
    """Return a rejection; those of different numbers have different bytes."""
    return Rejection(number, code, "the record has no price", raw or b'{"id":%d}' % number, source, NOW)


class Log:
    """An event log that stores what it gets, or is full or away."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.is_full = False
        self.is_away = False

    def append(self, trades: Sequence[Trade], source: str = "ingest") -> asyncio.Future[Receipt]:  # noqa: ARG002  # of the port
        """As `EventLog.append`."""
        if self.is_full:
            raise BacklogFull(1)
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if self.is_away:
            done.set_exception(StoreUnavailable("away"))
        else:
            self.trades += trades
            done.set_result(Receipt(len(trades), 0))
        return done

    async def room(self) -> None:
        """As `EventLog.room`."""


class Letters:
    """Dead letters with a file and metrics."""

    def __init__(self, path: Path, clock: Clock, **bounds: int) -> None:
        self.path = path
        self.metrics = Metrics(CollectorRegistry())
        self.dead = TradeDeadLetters(path, self.metrics.trades, clock, **bounds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background during the block."""
        running = asyncio.create_task(self.dead.run())
        yield
        running.cancel()
        await asyncio.wait([running])

    async def kept(self) -> list[FailedLetter]:
        """Return what is in the file."""
        file = DeadLetterFile(self.path, 1 << 40)
        await file.open()
        found = await file.letters(0, 1 << 20)
        await file.close()
        return found

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def letters(tmp_path: Path, clock: Clock) -> AsyncIterator[Letters]:
    """Return open dead letters that nobody writes yet."""
    letters = Letters(tmp_path / "dead-letters.db", clock)
    await letters.dead.open()
    yield letters
    await letters.dead.close()


async def test_a_buried_record_is_written_soon(letters: Letters) -> None:
    """With its bytes, reason, source and times; it is counted by source."""
    async with letters.running():
        letters.dead.bury([rejection(source="coinbase")])

        async def is_written() -> bool:
            return letters.value("trades_dead_letters_total", source="coinbase") == 1

        await until(is_written)
    (letter,) = await letters.kept()
    assert letter == FailedLetter(
        letter.id, "trade", "coinbase", NOW, NOW, 1, 0, "price", "the record has no price", b'{"id":0}'
    )


async def test_waiting_letters_are_written_when_the_file_is_closed(tmp_path: Path, clock: Clock) -> None:
    """Also where `run` was never called."""
    letters = Letters(tmp_path / "dead-letters.db", clock)
    await letters.dead.open()
    letters.dead.bury([rejection(1), rejection(2)])
    await letters.dead.close()
    assert [one.raw for one in await letters.kept()] == [b'{"id":1}', b'{"id":2}']


async def test_the_same_record_is_one_letter(letters: Letters) -> None:
    """Attempts count, with the time of the first and the last failure and the newest reason."""
    file = DeadLetterFile(letters.path, 10)
    await file.open()
    for at, code, source in ((NOW, "price", "ingest"), (NOW + 5, "asset", "replay"), (NOW + 9, "side", "ingest")):
        await file.bury([FailedRecord("trade", source, at, code, f"because of {code}", b"{}")])
    (letter,) = await file.letters(0, 10)
    await file.close()
    assert (letter.first_failed, letter.last_failed, letter.attempts) == (NOW, NOW + 9, 3)
    assert (letter.source, letter.code, letter.reason) == ("ingest", "side", "because of side")


async def test_the_same_bytes_at_two_places_are_two_letters(letters: Letters) -> None:
    """A record of a log is known by its place; read again, it is the same letter."""
    file = DeadLetterFile(letters.path, 10)
    await file.open()
    for place in ("1/7", "1/8", "1/7"):
        await file.bury([FailedRecord("trade", f"kafka:trades/{place}", NOW, "price", "no price", b"{}")])
    found = await file.letters(0, 10)
    await file.close()
    assert [(one.source, one.attempts) for one in found] == [("kafka:trades/1/7", 2), ("kafka:trades/1/8", 1)]


async def test_the_oldest_letters_go_first(tmp_path: Path, clock: Clock) -> None:
    """The file is bounded; deleted letters are counted."""
    letters = Letters(tmp_path / "dead-letters.db", clock, most=50)
    await letters.dead.open()
    letters.dead.bury([rejection(number) for number in range(70)])
    await letters.dead.close()
    assert [one.raw for one in await letters.kept()] == [b'{"id":%d}' % number for number in range(20, 70)]
    assert letters.value("trades_dead_letters_lost_total") == 20


async def test_letters_without_room_are_counted_as_lost(tmp_path: Path, clock: Clock) -> None:
    """The queue is bounded: `bury` returns at once and keeps the first."""
    letters = Letters(tmp_path / "dead-letters.db", clock, most_waiting=10)
    await letters.dead.open()
    letters.dead.bury([rejection(number) for number in range(8)])
    letters.dead.bury([rejection(number) for number in range(8, 16)])
    assert letters.value("trades_dead_letters_lost_total") == 6
    await letters.dead.close()
    assert len(await letters.kept()) == 10


async def test_long_records_are_cut(letters: Letters) -> None:
    """The first 4,096 bytes are kept, and 500 characters of the reason."""
    file = DeadLetterFile(letters.path, 10)
    await file.open()
    await file.bury([FailedRecord("trade", "ingest", NOW, "malformed", "x" * 9999, b"\xff" * 9999)])
    (letter,) = await file.letters(0, 10)
    await file.close()
    assert (len(letter.reason), letter.raw) == (500, b"\xff" * MOST_RAW)


async def test_a_locked_file_loses_nothing(letters: Letters) -> None:
    """Rejections wait until the file can be written again."""
    other = sqlite3.connect(letters.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with letters.running():
        letters.dead.bury([rejection(1)])

        async def has_failed() -> bool:
            return letters.dead._trouble.error != ""

        await until(has_failed)
        letters.dead.bury([rejection(2)])
        other.execute("ROLLBACK")
        other.close()

        async def is_written() -> bool:
            return letters.value("trades_dead_letters_total", source="ingest") == 2

        await until(is_written)
    assert [one.raw for one in await letters.kept()] == [b'{"id":1}', b'{"id":2}']
    assert letters.value("trades_dead_letters_lost_total") == 0


async def test_a_file_of_something_else_is_refused(tmp_path: Path, clock: Clock) -> None:
    """An outbox is not taken for a file of dead letters."""
    outbox = OutboxFile(tmp_path / "outbox.db", 1 << 20)
    await outbox.open()
    await outbox.close()
    letters = Letters(tmp_path / "outbox.db", clock)
    with pytest.raises(StoreRefused, match=r"outbox\.db has layout"):
        await letters.dead.open()
    await letters.dead.close()


def parse_listed(raw: bytes, _: float) -> Trade:
    """Return a trade, as if its asset were listed now."""
    return trade(trade_id=raw.decode())


def parse_unlisted(raw: bytes, _: float) -> Trade:
    """Raise, as if the asset were still missing."""
    raise InvalidTrade("asset", f"the asset of {raw!r} is not listed")


async def buried(letters: Letters, *codes: str) -> None:
    """Write a rejection for each code."""
    letters.dead.bury([rejection(number, code) for number, code in enumerate(codes)])
    await letters.dead._write()


async def test_a_reason_that_may_pass_is_tried_again(letters: Letters, clock: Clock) -> None:
    """After 15 minutes: an asset that was not listed, and a time that was ahead; nothing else."""
    await buried(letters, "asset", "price", "future", "malformed")
    log = Log()
    clock.now += QUARTER - 1
    await letters.dead.retry_due(parse_listed, log)
    assert log.trades == []
    clock.now += 2
    await letters.dead.retry_due(parse_listed, log)
    assert [one.id for one in log.trades] == ['{"id":0}', '{"id":2}']
    assert [one.code for one in await letters.kept()] == ["price", "malformed"]


async def test_a_letter_is_tried_five_times(letters: Letters, clock: Clock) -> None:
    """Every 15 minutes; then it stays for the operator."""
    await buried(letters, "asset")
    tries = 0

    def parse(raw: bytes, now: float) -> Trade:
        nonlocal tries
        tries += 1
        return parse_unlisted(raw, now)

    for _ in range(MOST_RETRIES + 3):
        clock.now += QUARTER + 1
        await letters.dead.retry_due(parse, Log())
        await letters.dead.retry_due(parse, Log())  # not due again at once
    assert tries == MOST_RETRIES == 5
    (letter,) = await letters.kept()
    assert (letter.attempts, letter.retries, letter.first_failed) == (6, 5, NOW)
    assert letter.last_failed == NOW + 5 * (QUARTER + 1)


@pytest.mark.parametrize("trouble", ["is_full", "is_away"])
async def test_a_trade_that_cannot_be_stored_stays(letters: Letters, clock: Clock, trouble: str) -> None:
    """While the backlog is full or the store away, the letter stays due, and its retries are not used up."""
    await buried(letters, "asset")
    clock.now += QUARTER + 1
    log = Log()
    setattr(log, trouble, True)
    if log.is_away:
        with pytest.raises(StoreUnavailable):
            await letters.dead.retry_due(parse_listed, log)
    else:
        await letters.dead.retry_due(parse_listed, log)
    assert [one.retries for one in await letters.kept()] == [0]
    setattr(log, trouble, False)
    await letters.dead.retry_due(parse_listed, log)
    assert len(log.trades) == 1
    assert await letters.kept() == []


@pytest.mark.parametrize("is_protobuf", [False, True])
async def test_a_record_of_either_format_is_tried_again(letters: Letters, clock: Clock, *, is_protobuf: bool) -> None:
    """A trade that was ahead of our clock is stored once its time has come, with the id that it has had."""
    ahead, records = int(NOW) + 60, RecordParser(Parser(processing.CATALOG.find), "protobuf")
    update, sent = processing.as_protobuf(1, "asset1", ahead * 10**9)[1], processing.trade(1, "asset1", ahead)
    raw = update if is_protobuf else encode(sent)
    letters.dead.bury(records.parse([raw], clock.now).rejected)
    await letters.dead._write()
    assert [one.code for one in await letters.kept()] == ["future"]
    clock.now += QUARTER + 1
    log = Log()
    await letters.dead.retry_due(partial(rejected_trade, Parser(processing.CATALOG.find)), log)
    assert log.trades == records.parse([raw], clock.now).trades
    assert await letters.kept() == []
