"""The event log that TRADES_LOG names. Its library is imported only where it is used."""

from aggregator.errors import CannotGoOn, StoreError
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.process import Process
from aggregator.settings import PREFIX
from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kinesis.address import parse_kinesis_url
from aggregator.trades.event_log.memory import MemoryLog
from aggregator.trades.event_log.records import SOURCE, RecordParser
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import DurableDeadLetters, TradeLog

_SETTING = f"{PREFIX}TRADES_LOG"


async def open_log(process: Process, attempt: Attempt, dead_letters: DurableDeadLetters) -> TradeLog:
    """Open the log; the process closes it. Raises CannotGoOn."""
    if process.settings.reads_kafka:
        return await _open_kafka(process, attempt, dead_letters)
    if process.settings.reads_kinesis:
        return await _open_kinesis(process, attempt, dead_letters)
    return MemoryLog(process.settings.ingest_backlog)


async def _open_kafka(process: Process, attempt: Attempt, dead_letters: DurableDeadLetters) -> TradeLog:
    from aggregator.trades.event_log.kafka.client import KafkaClients  # noqa: PLC0415  # an extra
    from aggregator.trades.event_log.kafka.log import KafkaLog  # noqa: PLC0415  # an extra

    settings = process.settings
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
        raise CannotGoOn(f"Kafka: {error}", f"check {_SETTING} and {PREFIX}KAFKA_…") from error
    process.stack.push_async_callback(log.close)
    await attempt(log.open, _SETTING, "start the brokers and create the topic")
    return log


async def _open_kinesis(process: Process, attempt: Attempt, dead_letters: DurableDeadLetters) -> TradeLog:
    from aggregator.trades.event_log.kinesis import client, log  # noqa: PLC0415  # Amazon's libraries take 0.3 s and 25 MiB

    address = parse_kinesis_url(process.settings.trades_log)
    opened = log.KinesisLog(
        client.KinesisClients(address),
        process.settings.ingest_backlog,
        RecordParser(Parser(process.catalog.find, log.SOURCE), address.format),
        dead_letters,
        process.metrics.trades,
        process.settings.allowed_lateness,
        process.clock.now,
    )
    process.stack.push_async_callback(opened.close)
    await attempt(opened.open, _SETTING, "create the stream; check region, endpoint, credentials and rights")
    return opened
