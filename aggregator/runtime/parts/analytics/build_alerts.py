"""The rules of alerts in a process: where they are kept, and the part that evaluates them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aggregator.alerts.rule_book import RuleBook
from aggregator.alerts.rule_file import MOST_FILE_BYTES, InvalidRules, rules_in
from aggregator.alerts.rules import Rule
from aggregator.alerts.topic import ALERTS
from aggregator.alerts.watch import AlertWatch, stored_alert
from aggregator.api.routing.responses import normal
from aggregator.cluster.feed_lease import FeedLease
from aggregator.cluster.topic_publisher import TopicPublisher
from aggregator.errors import CannotGoOn
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import AnyTopic, Bus, Publisher, T, Topic
from aggregator.prices.tiers import Catalog
from aggregator.runtime.catalog import bytes_of
from aggregator.runtime.parts.analytics.build_analytics import EventStores, run_writer
from aggregator.runtime.process import Process
from aggregator.settings import PREFIX, Settings
from aggregator.settings.loader import SettingsError
from aggregator.stores.redis.client import RedisClient

if TYPE_CHECKING:
    from aggregator.live.topics import Listener

_ANOMALIES, _SENTIMENT = "anomalies", "sentiment"


def rule_topics(bus: Bus) -> Sequence[AnyTopic]:
    """Return the topics that the evaluation listens to, as far as the bus has them."""
    return [bus.topics[name] for name in (PRICES.name, _ANOMALIES, _SENTIMENT, ALERTS.name) if name in bus.topics]


def shared_rules(process: Process, stores: EventStores) -> RuleBook | None:
    """Return the rules for a process that another evaluates them for; None where the two share no store."""
    return None if stores.events.name == "memory" else _book(process, stores)


async def evaluate_rules(process: Process, stores: EventStores, redis: RedisClient | None = None) -> RuleBook:
    """Evaluate the rules from now on; return them. With Redis, one of the processes that do so passes alerts on."""
    book = _book(process, stores)
    publisher: Publisher = process.bus
    lease: FeedLease | None = None
    if redis is not None:
        publisher = published = TopicPublisher(redis, (ALERTS,), (), process.metrics.trades)
        await process.keep_running(published)
        lease = FeedLease(redis, ALERTS.name)
        await process.keep_running(lease)
    writer = await run_writer(process, stores, publisher, ALERTS, stored_alert)
    watch = AlertWatch(writer, process.metrics.alerts, lambda: lease is None or lease.held, process.clock.now)
    book.on_change(watch.set_rules)
    _listen(process.bus, watch)
    await process.keep_running(book)
    await process.keep_running(watch)
    return book


def _book(process: Process, stores: EventStores) -> RuleBook:
    return RuleBook(
        stores.events,
        process.settings.events_retention,
        process.clock.now,
        rules_of_file(process.settings, process.catalog),
    )


def rules_of_file(settings: Settings, catalog: Catalog) -> list[Rule]:
    """Return the rules of the file that the settings name. Raises SettingsError."""

    def symbol_of(text: str) -> str | None:
        symbol = normal(text)
        return None if symbol is None or catalog.find(symbol) is None else symbol

    if not settings.alerts_file:
        return []
    path = Path(settings.alerts_file)
    try:
        raw, changed_at = bytes_of(path, MOST_FILE_BYTES, ""), path.stat().st_mtime
        return rules_in(raw, symbol_of, [one.name for one in settings.outlet_addresses], changed_at)
    except OSError as error:
        raise _wrong(f"cannot read {path}: {error.strerror}") from error
    except InvalidRules as error:
        raise _wrong(f"{path}: {error}") from error
    except CannotGoOn as error:
        raise _wrong(error.what) from error


def _wrong(what: str) -> SettingsError:
    return SettingsError([f"{PREFIX}ALERTS_FILE: {what}"])


def _listen(bus: Bus, watch: AlertWatch) -> None:
    """Evaluate rules on what the bus brings; a topic without a part that publishes it may be missing."""
    listeners: dict[str, Any] = {PRICES.name: watch.prices, ALERTS.name: watch.alerts}
    listeners |= {_ANOMALIES: watch.anomalies, _SENTIMENT: watch.sentiment}

    def listen(topic: Topic[T]) -> None:
        bus.listen(topic, cast("Listener[T]", listeners[topic.name]))

    for topic in rule_topics(bus):
        topic.apply(listen)
