"""The settings by subject, in the order of help texts and docs/settings.md."""

from collections.abc import Mapping, Sequence

from pydantic_settings import BaseSettings

from aggregator.settings import Settings
from aggregator.settings.alerts import AlertSettings
from aggregator.settings.anomalies import AnomalySettings
from aggregator.settings.api import ApiSettings
from aggregator.settings.archive import ArchiveSettings
from aggregator.settings.events import EventSettings
from aggregator.settings.news import NewsSettings
from aggregator.settings.outlets import OutletSettings
from aggregator.settings.postgres import PostgresSettings
from aggregator.settings.strategy import StrategySettings
from aggregator.settings.table_streams import TableStreamSettings
from aggregator.settings.trades import TradeSettings

_OWN: Mapping[str, Sequence[str]] = {
    "process": ("host", "port", "role", "workers", "data_dir", "symbols_file"),
    "exchanges": (
        *("exchanges", "exchange_timeout", "exchange_concurrency", "exchange_batch", "grace", "push_debounce"),
        "conversions",
    ),
    "tiers and intervals": (
        *("hot_size", "medium_size", "hot_interval", "medium_interval", "cold_interval"),
        *("tiering", "rank_interval", "pinned"),
    ),
    "pricing": ("min_sources", "max_deviation", "max_weight"),
    "cache and history": (
        *("cache_url", "redis_timeout", "history_url", "retention_days", "history_min_gap"),
        *("outbox_path", "outbox_max_bytes"),
    ),
    "logs and traces": ("log_format", "log_level", "traces"),
}
_PARTS: Mapping[str, type[BaseSettings]] = {
    "HTTP API": ApiSettings,
    "trades": TradeSettings,
    "anomalies": AnomalySettings,
    "paper trading": StrategySettings,
    "news": NewsSettings,
    "alerts": AlertSettings,
    "events and positions": EventSettings,
    "archive": ArchiveSettings,
    "outlets": OutletSettings,
    "table streams": TableStreamSettings,
    "PostgreSQL": PostgresSettings,
}
_FIRST = ("process", "exchanges", "tiers and intervals", "pricing", "cache and history", "HTTP API")
_REST = "more"


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the settings of `names` by the title of their group; groups without any are left out."""
    groups: dict[str, list[str]] = {title: [] for title in (*_FIRST, *_PARTS, "logs and traces", _REST)}
    for title, own in _OWN.items():
        groups[title] += [name for name in own if name in names]
    for name in names:
        if name not in {one for own in _OWN.values() for one in own}:
            groups[_part_of(name)].append(name)
    return {title: found for title, found in groups.items() if found}


def _part_of(name: str) -> str:
    """Return the title of the class that declares a setting."""
    return next((title for title, part in _PARTS.items() if name in part.__annotations__), _REST)


def ungrouped() -> list[str]:
    """Return the settings that have no group."""
    return grouped(list(Settings.model_fields)).get(_REST, [])
