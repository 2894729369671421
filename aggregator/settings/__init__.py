"""Every setting, with its default and its checks: an environment variable AGGREGATOR_… or a flag of the same name.

The descriptions are the help texts of the flags and the rows of docs/settings.md.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.same_venue import check_venues
from aggregator.exchanges.targets import exchange_targets
from aggregator.libraries.extras import has_extra, install
from aggregator.models import Tier
from aggregator.numerals import is_plain
from aggregator.prices.tiers import Cadence
from aggregator.settings.alerts import AlertSettings
from aggregator.settings.anomalies import AnomalySettings
from aggregator.settings.api import ApiSettings, Seconds, entries_of
from aggregator.settings.archive import ArchiveSettings
from aggregator.settings.events import EventSettings
from aggregator.settings.news import NewsSettings
from aggregator.settings.outlets import OutletSettings
from aggregator.settings.processes import check_processes
from aggregator.settings.strategy import StrategySettings
from aggregator.settings.trades import TradeSettings
from aggregator.stores.registry import cache_forms, cache_store, history_forms, history_store

PREFIX = "AGGREGATOR_"

DEFAULT_EXCHANGES = (
    "exchange1=mock+http://127.0.0.1:8081,exchange2=mock+http://127.0.0.1:8082,exchange3=mock+http://127.0.0.1:8083"
)
SYMBOLS_OF_THE_PACKAGE = Path(__file__).with_name("symbols.csv")
DERIVED = {  # in words: defaults that depend on other settings, or on the folder
    "data_dir": "the current folder",
    "min_sources": "2, or 1 where EXCHANGES names one",
    "symbols_file": "symbols.csv, or the 1000 pairs of the package where the current folder has no such file",
}

Count = Annotated[int, Field(ge=1, le=10_000)]


def _usual_symbols_file() -> Path:
    """Return the symbols file of the current folder, or that of the package, so that a wheel alone can be started."""
    own = Path("symbols.csv")
    return own if own.exists() else SYMBOLS_OF_THE_PACKAGE


def _usual_min_sources(validated: Mapping[str, Any]) -> int:
    """Return the default of min_sources: two, so that exchanges confirm each other; one where there is one exchange."""
    return min(2, len(exchange_targets(validated["exchanges"])))


def _kinds_in(annotation: object) -> set[object]:
    """Return the types of an annotation, such as float and None of `Annotated[float, …] | None`."""
    inner = get_args(annotation)
    return set().union(*map(_kinds_in, inner)) if inner else {annotation}


class Settings(
    OutletSettings,
    AlertSettings,
    ApiSettings,
    ArchiveSettings,
    NewsSettings,
    StrategySettings,
    AnomalySettings,
    EventSettings,
    TradeSettings,
):
    """The settings of a process. They are read once, at its start."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    data_dir: Path = Field(
        Path(),
        description="Folder of the files that this process writes, of those whose setting is not given; the demo's"
        " default is data. It is made if it is missing.",
    )
    symbols_file: Path = Field(
        default_factory=_usual_symbols_file,
        description="CSV file whose header is symbol,base,quote or just symbol, most traded first.",
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on. The default accepts connections from this machine only."
    )
    port: int = Field(8080, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    role: Literal["all", "api", "refresher", "processor", "streams"] = Field(
        "all",
        description="Role of this process: refresh prices, serve the API, or both; processor: process the trades of a"
        " kafka:// or kinesis:// log; streams: send the items of a table to the outlets. Roles share through Redis;"
        " streams does not need it.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that serve the API on the port; with role all, one more process refreshes prices and,"
        " with trade_feeds, takes trades in; with a trades_log that processes share, one more processes trades.",
    )
    cache_url: str = Field(
        "memory://",
        description=f"Address of the cache: {cache_forms()}.",
    )
    history_url: str = Field(
        "sqlite:///prices.db",
        description=f"Address of the history: {history_forms()}.",
    )
    outbox_path: Path = Field(
        Path("outbox.db"), description="File in which prices wait until DynamoDB or PostgreSQL has them."
    )
    outbox_max_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="Largest size of an outbox. When that of prices is full, the oldest prices of the coldest tier are"
        " dropped; that of trades drops none.",
    )
    retention_days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(
        None, description="Days after which a price is deleted from history; none keeps all prices."
    )
    history_min_gap: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        0,
        description="Seconds of which history keeps only the last price of each asset; 0 keeps every price. Prices that"
        " clients have got are then missing in history.",
    )
    exchanges: str = Field(
        DEFAULT_EXCHANGES,
        description=f"Comma-separated exchanges, each name=dialect+url. Dialects: {', '.join(DIALECTS)}. A dialect"
        " alone, or ccxt:NAME, uses the public address. A suffix +ws adds the WebSocket feed: binance+ws or"
        " name=binance+http://…+ws://…. A recording is replay+file://….",
    )
    hot_size: int = Field(20, ge=0, description="Number of hot assets: the first rows of the symbols file.")
    medium_size: int = Field(180, ge=0, description="Number of medium assets: the next rows; all others are cold.")
    hot_interval: Seconds = Field(5, description="Seconds between refreshes of a hot asset.")
    medium_interval: Seconds = Field(30, description="Seconds between refreshes of a medium asset.")
    cold_interval: Seconds = Field(300, description="Seconds between refreshes of a cold asset.")
    tiering: Literal["static", "popular"] = Field(
        "static",
        description="static: tiers by row of the symbols file. popular: assets are re-ranked by the number of reads.",
    )
    rank_interval: Seconds = Field(300, description="Seconds between two rankings, with popular tiering.")
    pinned: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated symbols that keep their tier, with popular tiering."
    )
    max_deviation: Decimal = Field(
        Decimal("0.05"),
        gt=0,
        le=1,
        description="Largest relative deviation. Of three or more tickers, those further from the median are dropped."
        " Two tickers make a price only if they differ by at most this share of the lower one.",
    )
    min_sources: int = Field(
        default_factory=_usual_min_sources,
        ge=1,
        le=100,
        description="Least number of tickers that make a price. With 1, a single exchange can set a price alone.",
    )
    max_weight: Decimal = Field(
        Decimal("0.5"),
        gt=0,
        le=1,
        decimal_places=6,
        description="Largest weight of one ticker in a price, or an equal share where that is larger; 1 weights by"
        " volume alone.",
    )
    conversions: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated conversion rates, such as usdtusd: an exchange that does not list btcusd"
        " then counts with btcusdt x usdtusd.",
    )
    exchange_timeout: Seconds = Field(2, description="Timeout of a call to an exchange, in seconds.")
    exchange_concurrency: Annotated[int, Field(ge=4, le=10_000)] = Field(
        128,
        description="Calls in flight to one exchange; each tier, and all refreshes by hand, may use a quarter of them.",
    )
    exchange_batch: Count = Field(
        1000, description="Most symbols in one call, for exchanges that accept several; 1 calls for each symbol."
    )
    grace: Seconds = Field(0.25, description="Seconds to wait for the other exchanges once a majority has answered.")
    push_debounce: Annotated[float, Field(ge=0.01, le=60, allow_inf_nan=False)] = Field(
        0.05,
        description="Seconds after a pushed ticker in which further ones go into the same price: a hot asset is priced"
        " at most once in them.",
    )
    redis_timeout: Seconds = Field(0.25, description="Timeout of a call to Redis, in seconds.")
    log_format: Literal["console", "json"] = Field("console", description="Format of log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    traces: Literal["none", "otlp"] = Field(
        "none",
        description="otlp exports traces as the OTEL_… variables of OpenTelemetry say; it needs the extra `otel`.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_digits(cls, value: object, info: ValidationInfo) -> object:
        kinds = _kinds_in(cls.model_fields[info.field_name or ""].annotation)
        if isinstance(value, str) and not is_plain(value) and kinds & {int, float, Decimal}:
            raise ValueError("must be a number in digits 0 to 9")
        return value

    @field_validator("pinned", "conversions", mode="before")
    @classmethod
    def _split_symbols(cls, value: object) -> object:
        return entries_of(value)

    @field_validator("cache_url")
    @classmethod
    def _check_cache(cls, url: str) -> str:
        cache_store(url).check(url)
        return url

    @field_validator("history_url")
    @classmethod
    def _check_history(cls, url: str) -> str:
        history_store(url).check(url)
        return url

    @field_validator("exchanges")
    @classmethod
    def _check_exchanges(cls, text: str) -> str:
        check_venues(exchange_targets(text))
        return text

    @field_validator("traces")
    @classmethod
    def _check_traces(cls, traces: str) -> str:
        if traces == "otlp" and not has_extra("otel"):
            raise ValueError(f"OpenTelemetry is not installed; {install('otel')}")
        return traces

    @model_validator(mode="after")
    def _check_order(self) -> "Settings":
        if not self.hot_interval <= self.medium_interval <= self.cold_interval:
            names = ("hot_interval", "medium_interval", "cold_interval")
            given = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
            raise ValueError(f"{' <= '.join(names)} must hold, and they are {given}")
        exchanges = len(exchange_targets(self.exchanges))
        if self.min_sources > exchanges:
            raise ValueError(
                f"AGGREGATOR_MIN_SOURCES={self.min_sources} is more than the number of exchanges, {exchanges}:"
                " no price could ever be made"
            )
        return self

    @model_validator(mode="after")
    def _check_processes(self) -> "Settings":
        check_processes(self.role, self.workers, self.cache_url, shares_cache=self.shares_cache)
        if self.role == "streams" and not (self.table_stream and self.outlets):
            raise ValueError("role=streams needs table_stream, the dynamodb:// address of a table, and outlets")
        if self.role == "processor" and not self.shares_log:
            raise ValueError(
                "role=processor needs a log that processes share; set trades_log to a kafka:// or kinesis:// address"
            )
        return self

    @property
    def shares_cache(self) -> bool:
        """Whether other processes see the prices in the cache."""
        return cache_store(self.cache_url).is_shared

    @property
    def cadence(self) -> Mapping[Tier, Cadence]:
        """The refresh interval of each tier, and the ages derived from it."""
        intervals = {Tier.HOT: self.hot_interval, Tier.MEDIUM: self.medium_interval, Tier.COLD: self.cold_interval}
        return {tier: Cadence(interval) for tier, interval in intervals.items()}
