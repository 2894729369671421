"""The run of `aggregator produce`: open the topic, send the load, print the summary."""

import asyncio
import sys
from collections.abc import Mapping
from secrets import randbits
from typing import TYPE_CHECKING

import msgspec

from aggregator.cli.command import start
from aggregator.cli.produce.deliveries import Deliveries
from aggregator.cli.produce.load import Load
from aggregator.cli.produce.market import Market
from aggregator.cli.produce.pace import Pace
from aggregator.cli.produce.records import ENCODERS
from aggregator.errors import CannotGoOn, StoreError
from aggregator.libraries.extras import install
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.lifecycle import complain, run
from aggregator.runtime.progress import load_bar
from aggregator.settings import Settings
from aggregator.trades.event_log.kafka.address import EXAMPLE, KafkaAddress, KafkaSecurity, parse_kafka_url

if TYPE_CHECKING:
    from aggregator.trades.event_log.kafka.admin import KafkaAdmin
    from aggregator.trades.event_log.kafka.reports import ReportingProducer

_OPEN_SECONDS = 10.0
_SEED_BITS = 32


class Unusable(CannotGoOn):
    """An option cannot be used: nothing was sent, and the exit code is 2."""


class Wanted(msgspec.Struct, frozen=True):
    """The options. None: `log` of the settings, `rate` without a limit, all `assets`, `format` of the URL.

    Without `seconds` and `count` it runs until it is stopped; without a `seed` it takes one by chance; without
    `partitions` the topic must exist.
    """

    log: str | None
    rate: float | None
    assets: int | None
    format: str | None
    seconds: float | None
    count: int | None
    seed: int | None
    partitions: int | None


def produce(flags: Mapping[str, str], wanted: Wanted) -> int:
    """Write the trades; return 0, 1 if one was not delivered or the topic cannot be written, 2 for wrong usage."""
    settings = start(flags)
    deliveries = Deliveries()
    seed = randbits(_SEED_BITS) if wanted.seed is None else wanted.seed
    try:
        address = _address(wanted, settings)
        market = Market(_assets(wanted, settings), seed)
        producer = _producer(wanted, address, settings, deliveries)
    except CannotGoOn as error:
        return complain(2 if isinstance(error, Unusable) else 1, str(error))
    load = Load(producer, market, ENCODERS[wanted.format or address.format], f"{seed:x}", deliveries)
    pace = Pace(wanted.rate, wanted.seconds, wanted.count)
    return run(lambda stop: _produce(load, pace, stop, _Words(wanted.rate, seed)))


def _address(wanted: Wanted, settings: Settings) -> KafkaAddress:
    try:
        return parse_kafka_url(wanted.log or settings.trades_log)
    except ValueError as error:
        raise Unusable(f"--log {error}", "" if wanted.log else f"name the topic, such as --log {EXAMPLE}") from error


def _assets(wanted: Wanted, settings: Settings) -> list[str]:
    names = list(catalog_of(settings).assets)
    if wanted.assets is not None and wanted.assets > len(names):
        raise Unusable(f"--assets {wanted.assets} is more than the {len(names)} of {settings.symbols_file}")
    return names[: wanted.assets]


def _producer(wanted: Wanted, address: KafkaAddress, settings: Settings, deliveries: Deliveries) -> "ReportingProducer":
    """Return a producer for a topic that is there. Raises CannotGoOn."""
    try:
        from aggregator.trades.event_log.kafka.admin import KafkaAdmin  # noqa: PLC0415  # an extra
        from aggregator.trades.event_log.kafka.client import KafkaClients  # noqa: PLC0415  # an extra
        from aggregator.trades.event_log.kafka.reports import ReportingProducer  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unusable("kafka:// needs confluent-kafka, which is not installed", install("kafka")) from error
    clients = KafkaClients(address, _security(settings))
    producer = ReportingProducer(clients, deliveries.report)
    try:
        _look(KafkaAdmin(clients, _OPEN_SECONDS), address, wanted.partitions)
        producer.open(_OPEN_SECONDS)
    except StoreError as error:
        raise CannotGoOn(str(error), "`aggregator doctor` checks brokers and topic") from error
    return producer


def _look(admin: "KafkaAdmin", address: KafkaAddress, partitions: int | None) -> None:
    """Look for the topic; with `partitions`, create it where it is missing. Raises CannotGoOn and StoreError."""
    if partitions is not None:
        admin.create_topic(partitions)
    elif admin.topic().partitions == 0:
        raise CannotGoOn(f"the topic {address.topic} does not exist", "--partitions 6 creates it with 6 partitions")


def _security(settings: Settings) -> KafkaSecurity:
    password = settings.kafka_password.get_secret_value()
    return KafkaSecurity(settings.kafka_username, password, settings.kafka_sasl, settings.kafka_ca)


class _Words(msgspec.Struct, frozen=True):
    """The facts of a run that its summary needs beside the counts."""

    rate: float | None
    seed: int


async def _produce(load: Load, pace: Pace, stop: asyncio.Event, words: _Words) -> None:
    """Send the load, and print the summary however it ends. Raises CannotGoOn."""
    try:
        with load_bar(pace.total) as show:
            await load.run(pace, stop, show)
    except StoreError as error:
        raise CannotGoOn(str(error)) from error
    finally:
        sys.stdout.write("".join(f"{line}\n" for line in _summary(load, words, stopped=stop.is_set())))
        sys.stdout.flush()
    if lost := load.deliveries.sent - load.deliveries.delivered:
        raise CannotGoOn(f"{lost:,} trades were not delivered")


def _summary(load: Load, words: _Words, *, stopped: bool) -> list[str]:
    counts = load.deliveries
    how = "stopped; " if stopped else ""
    rate = counts.delivered / max(load.seconds, 1e-6)
    asked = "" if words.rate is None else f" of {words.rate:,g} asked ({rate / words.rate:.1%})"
    lines = [
        f"{how}sent {counts.sent:,} trades, delivered {counts.delivered:,}, failed {counts.failed:,}",
        f"{rate:,.0f} a second{asked} in {load.seconds:.1f} s; seed {words.seed}",
    ]
    half, most = (counts.latencies.percentile(share) for share in (0.5, 0.99))
    if half is not None and most is not None:
        lines.append(f"from send to confirmation: p50 {half * 1000:.1f} ms, p99 {most * 1000:.1f} ms")
    lines += [f"  {number:,} failed: {reason}" for reason, number in counts.failures.most_common()]
    return lines + ([f"  {counts.unreported:,} without a report"] if counts.unreported else [])
