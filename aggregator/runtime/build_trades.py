"""The trade stream of a process: store, event log, processor and dead letters."""

import msgspec

from aggregator.errors import CannotGoOn, StoreError
from aggregator.exchanges.push.trade_feed import TradeSinks
from aggregator.live.topics import Publisher
from aggregator.runtime.process import Process
from aggregator.runtime.stores import Attempt, open_trade_store
from aggregator.settings import PREFIX
from aggregator.stores.definition import FILE_REMEDY
from aggregator.stores.trades.dead_letters import TradeDeadLetters
from aggregator.trades.event_log.kafka_address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka_records import SOURCE, RecordParser
from aggregator.trades.event_log.kinesis_address import parse_kinesis_url
from aggregator.trades.event_log.memory import MemoryLog
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import DurableDeadLetters, TradeLog, TradeStore
from aggregator.trades.processor import Processor

_DRAIN_SECONDS = 5.0  # for the trades that wait when the process stops


class TradeStream(msgspec.Struct, frozen=True):
    """The opened parts of the trade stream."""

    store: TradeStore
    log: TradeLog
    processor: Processor
    dead_letters: TradeDeadLetters

    @property
    def sinks(self) -> TradeSinks:
        """Where the feeds of venues put trades, and what is none."""
        return TradeSinks(self.log, self.dead_letters)


async def open_trades(process: Process, attempt: Attempt, publisher: Publisher | None = None) -> TradeStream:
    """Open store and log of trades. Raises CannotGoOn. Call `run_trades` once all stores are open.

    The processor publishes through `publisher`; on the bus of this process, if None.
    """
    settings, now = process.settings, process.clock.now
    store = await open_trade_store(settings, process.metrics, process.stack, attempt, now)
    dead_letters = await _open_dead_letters(process, attempt)
    log = await _open_log(process, attempt, dead_letters)
    processor = Processor(
        log,
        store,
        [] if settings.role == "processor" else list(process.catalog.assets),  # no route of it shows features
        publisher or process.bus,
        process.metrics.trades,
        settings.allowed_lateness,
        settings.window_trades,
        now,
    )
    return TradeStream(store, log, processor, dead_letters)


async def open_sinks(process: Process, attempt: Attempt) -> TradeSinks | None:
    """Open a log that processes share, to append to it; None where the log is inside another process.

    Raises CannotGoOn.
    """
    if not process.settings.shares_log:
        return None
    dead_letters = await _open_dead_letters(process, attempt)
    log = await _open_log(process, attempt, dead_letters)
    await process.keep_running(dead_letters)
    return TradeSinks(log, dead_letters)


async def _open_dead_letters(process: Process, attempt: Attempt) -> TradeDeadLetters:
    dead_letters = TradeDeadLetters(process.settings.dead_letters_path, process.metrics.trades, process.clock.now)
    process.stack.push_async_callback(dead_letters.close)
    await attempt(dead_letters.open, f"{PREFIX}DEAD_LETTERS_PATH", FILE_REMEDY)
    return dead_letters


async def _open_log(process: Process, attempt: Attempt, dead_letters: DurableDeadLetters) -> TradeLog:
    settings = process.settings
    if settings.reads_kinesis:
        return await _open_kinesis(process, attempt, dead_letters)
    if not settings.reads_kafka:
        return MemoryLog(settings.ingest_backlog)
    from aggregator.trades.event_log.kafka import KafkaLog  # noqa: PLC0415  # an optional dependency
    from aggregator.trades.event_log.kafka_client import KafkaClients  # noqa: PLC0415  # likewise

    password = settings.kafka_password.get_secret_value()
    security = KafkaSecurity(settings.kafka_username, password, settings.kafka_sasl, settings.kafka_ca)
    address = parse_kafka_url(settings.trades_log)
    try:
        log = KafkaLog(
            KafkaClients(address, security),
            settings.ingest_backlog,
            RecordParser(Parser(process.catalog.find, SOURCE), address.format),
            dead_letters,
            process.metrics.trades,
            settings.allowed_lateness,
            process.clock.now,
        )
    except StoreError as error:
        raise CannotGoOn(f"Kafka: {error}", f"check {PREFIX}TRADES_LOG and {PREFIX}KAFKA_…") from error
    process.stack.push_async_callback(log.close)
    await attempt(log.open, f"{PREFIX}TRADES_LOG", "start the brokers and create the topic")
    return log


async def _open_kinesis(process: Process, attempt: Attempt, dead_letters: DurableDeadLetters) -> TradeLog:
    from aggregator.trades.event_log import kinesis  # noqa: PLC0415  # Amazon's libraries take 0.3 s and 25 MiB
    from aggregator.trades.event_log.kinesis_client import KinesisClients  # noqa: PLC0415  # likewise

    address = parse_kinesis_url(process.settings.trades_log)
    log = kinesis.KinesisLog(
        KinesisClients(address),
        process.settings.ingest_backlog,
        RecordParser(Parser(process.catalog.find, kinesis.SOURCE), address.format),
        dead_letters,
        process.metrics.trades,
        process.settings.allowed_lateness,
        process.clock.now,
    )
    process.stack.push_async_callback(log.close)
    await attempt(log.open, f"{PREFIX}TRADES_LOG", "create the stream; check region, endpoint, credentials and rights")
    return log


async def run_trades(process: Process, trades: TradeStream) -> None:
    """Process trades from now on; a stop waits for those that have come."""
    await process.keep_running(trades.store)
    await process.keep_running(trades.processor)
    process.stack.push_async_callback(trades.processor.drain, _DRAIN_SECONDS)
    process.metrics.before_text(trades.processor.report)
    await process.keep_running(trades.dead_letters)
    parser = Parser(process.catalog.find)
    process.beside_server.append(trades.dead_letters.retry(parser.one, trades.log))
