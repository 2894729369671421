"""Checks of the trade stream: the store of trades, and a Kafka log with its topic, rights and consumer group.

`kinesis.py` checks a Kinesis log.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aggregator.cli.doctor.checks import Check, Finding, failure, passed
from aggregator.cli.doctor.files import CheckedFile, try_outbox, try_store
from aggregator.cli.doctor.kinesis import kinesis_check
from aggregator.cli.doctor.postgres import CheckedDatabase, try_database
from aggregator.cli.doctor.tables import LONGEST_QUERY, CheckedTable, try_table
from aggregator.errors import StoreError
from aggregator.numerals import counted
from aggregator.observability.metrics import Metrics
from aggregator.settings import Settings
from aggregator.stores.dynamodb import DynamoAddress, parse_dynamodb_url
from aggregator.stores.postgres.address import parse_postgres_url
from aggregator.stores.sqlite import parse_sqlite_url
from aggregator.stores.trades.dynamodb import TABLE_REMEDY
from aggregator.stores.trades.dynamodb_table import TradeTable
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.stores.trades.waiting_trades import WaitingTrades
from aggregator.trades.event_log.kafka.address import KafkaAddress, KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kinesis.address import parse_kinesis_url

if TYPE_CHECKING:
    from aggregator.trades.event_log.kafka.admin import GroupState, Operations, TopicState

_URL = "AGGREGATOR_TRADES_URL"
_LOG = "AGGREGATOR_TRADES_LOG"


def trade_checks(settings: Settings, seconds: float) -> dict[str, Check]:
    """Return the checks of the log and of the store; none for a role without trades. `seconds` limit each."""
    if settings.role == "refresher" and not settings.trade_feeds:
        return {}
    log: dict[str, Check] = {}
    if settings.trades_log.startswith("kafka:"):
        log = {"kafka": partial(kafka_log_check, settings, parse_kafka_url(settings.trades_log), seconds)}
    if settings.trades_log.startswith("kinesis:"):
        address = parse_kinesis_url(settings.trades_log)
        log = {"kinesis": partial(kinesis_check, settings.role, address, seconds)}
    return log | _store_checks(settings)


def _store_checks(settings: Settings) -> dict[str, Check]:
    url = settings.trades_url
    if url.startswith("dynamodb:"):
        table = partial(table_check, settings, parse_dynamodb_url(url))
        if settings.role == "api":  # it writes no trades
            return {"trades": table}
        return {"trades outbox": partial(outbox_check, settings), "trades": table}
    if url.startswith("postgresql:"):
        checked = CheckedDatabase("trades", "trades", ("SELECT", "INSERT", "DELETE"), _URL)
        return {"trades": partial(try_database, settings, parse_postgres_url(url), checked)}
    if settings.role == "api":  # it opens no file of trades
        return {}
    if url.startswith("sqlite:"):
        return {"trades": partial(sqlite_check, settings, parse_sqlite_url(url))}
    return {"trades": memory_check}


# The store


async def memory_check() -> Sequence[Finding]:
    """Say that trades are lost with the process."""
    return [passed("trades", "kept in the memory of the process")]


async def sqlite_check(settings: Settings, path: Path) -> Sequence[Finding]:
    """Check the file of the trades."""
    return await try_store(
        CheckedFile("trades", path, _URL), lambda file: SqliteTrades(file, settings.trades_retention)
    )


async def outbox_check(settings: Settings) -> Sequence[Finding]:
    """Check the outbox of the trades: it must be writable, on a persistent disk with room for its largest size."""
    most = settings.outbox_max_bytes
    checked = CheckedFile("trades outbox", settings.trades_outbox_path, "AGGREGATOR_TRADES_OUTBOX_PATH")
    return await try_outbox(checked, lambda file: WaitingTrades(file, most), most, "trades", writing=True)


async def table_check(settings: Settings, target: DynamoAddress) -> Sequence[Finding]:
    """Check the DynamoDB table of the trades: its keys, its TTL, and the rights that the service needs."""
    retention = settings.trades_retention
    table = TradeTable(
        target.table, target.region, target.endpoint, Metrics(), retention, time.time, query_seconds=LONGEST_QUERY
    )
    checked = CheckedTable("trades", "trades", _URL, TABLE_REMEDY, retention)
    return await try_table(table, target, checked, writing=settings.role != "api")


# Kafka


class CheckedTopic(NamedTuple):
    """A topic to check: the name of the check, the setting that names the topic, and whether we read it."""

    check: str
    setting: str
    reads: bool


LOG_TOPIC = CheckedTopic("kafka", _LOG, reads=True)


async def kafka_log_check(settings: Settings, address: KafkaAddress, seconds: float) -> Sequence[Finding]:
    """Check the log of trades."""
    return await kafka_check(settings, address, seconds, LOG_TOPIC._replace(reads=settings.role != "api"))


async def kafka_check(
    settings: Settings, address: KafkaAddress, seconds: float, checked: CheckedTopic
) -> Sequence[Finding]:
    """Ask the brokers for the topic, the consumer group and our rights on them; each call has `seconds`."""
    from aggregator.trades.event_log.kafka.admin import KafkaAdmin, NoLogin, NoTls  # noqa: PLC0415  # an extra
    from aggregator.trades.event_log.kafka.client import KafkaClients  # noqa: PLC0415  # an extra

    password = settings.kafka_password.get_secret_value()
    security = KafkaSecurity(settings.kafka_username, password, settings.kafka_sasl, settings.kafka_ca)
    try:
        admin = KafkaAdmin(KafkaClients(address, security), seconds)
        topic = await asyncio.to_thread(admin.topic)
        reads = checked.reads and topic.partitions
        group = await asyncio.to_thread(admin.group, topic.partitions) if reads else None
    except NoLogin as error:
        return [
            failure(
                checked.check,
                str(error),
                "check AGGREGATOR_KAFKA_USERNAME, AGGREGATOR_KAFKA_PASSWORD and AGGREGATOR_KAFKA_SASL",
            )
        ]
    except NoTls as error:
        return [failure(checked.check, str(error), f"check security= ({checked.setting}) and AGGREGATOR_KAFKA_CA")]
    except StoreError as error:
        return [failure(checked.check, str(error), f"start the brokers, or mend their address ({checked.setting})")]
    return judged(address, topic, group, checked)


def judged(
    address: KafkaAddress, topic: "TopicState", group: "GroupState | None", checked: CheckedTopic = LOG_TOPIC
) -> Sequence[Finding]:
    """Return the findings about a topic, and about the consumer group of a role that reads it. Pure."""
    if not topic.partitions and topic.operations is None:
        says = f"the topic {address.topic} does not exist on {address.brokers}"
        reason = "as many partitions as there may be processors" if checked.reads else "partitions"
        return [failure(checked.check, says, f"create it, with {reason} ({checked.setting})")]
    missing = _missing(f"topic {address.topic}", topic.operations, ("READ", "WRITE") if group else ("WRITE",))
    if group is not None:
        missing += _missing(f"group {address.group}", group.operations, ("READ",))
    if missing:
        says = f"{address.brokers} does not let us {'; '.join(missing)}"
        acls = "READ and WRITE on the topic, READ on the group" if checked.reads else "WRITE on the topic"
        return [failure(checked.check, says, f"add ACLs for our user: {acls}")]
    says = f"topic {address.topic} on {address.brokers} has {counted(topic.partitions, 'partition')}"
    if group is not None:
        says += f"; group {address.group} has {counted(group.members, 'member')} and is {group.lag:,} records behind"
    if topic.operations is None:
        return [passed(checked.check, f"{says}; the brokers do not tell our rights")]
    return [passed(checked.check, f"{says}; we may do all that the service does")]


def _missing(where: str, operations: "Operations", needed: Sequence[str]) -> list[str]:
    """Return in words which of the needed operations the brokers refuse us; none where they do not tell."""
    if operations is None or "ALL" in operations:
        return []
    return [f"{one} the {where}" for one in needed if one not in operations]
