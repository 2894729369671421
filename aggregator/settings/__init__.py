"""Every setting, its default and its check. From the environment (prefix AGGREGATOR_), or a flag of the same name."""

import importlib.util
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from aggregator.api.hosts import allowed_host, allowed_origin, network
from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.targets import exchange_targets
from aggregator.models import Tier
from aggregator.prices.tiers import Cadence
from aggregator.stores.registry import cache_forms, cache_store, history_forms, history_store

PREFIX = "AGGREGATOR_"

DEFAULT_EXCHANGES = (
    "exchange1=mock+http://127.0.0.1:8081,exchange2=mock+http://127.0.0.1:8082,exchange3=mock+http://127.0.0.1:8083"
)
_OTEL = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
DERIVED = {"min_sources": "2, or 1 where EXCHANGES names one"}  # defaults that depend on other settings, in words
_ENTRIES = {"allowed_hosts": allowed_host, "cors_origins": allowed_origin, "trusted_proxies": network}

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000)]


def _usual_min_sources(validated: Mapping[str, Any]) -> int:
    """Return how many tickers make a price: two, so that none is believed alone, or one where only one is asked."""
    return min(2, len(exchange_targets(validated["exchanges"])))


class Settings(BaseSettings):
    """What the service is told at start. Nothing changes afterwards."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    symbols_file: Path = Field(Path("symbols.csv"), description="CSV with header symbol,base,quote or just symbol.")
    host: str = Field("127.0.0.1", description="Address to listen on. Only this machine unless told otherwise.")
    port: int = Field(8080, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    role: Literal["all", "api", "refresher"] = Field(
        "all", description="What this process does; api and refresher share the work through Redis."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that answer on the port, with one more that refreshes.")
    cache_url: str = Field(
        "memory://",
        description=f"Address of the cache: {cache_forms()}.",
    )
    history_url: str = Field(
        "sqlite:///prices.db",
        description=f"Address of the history: {history_forms()}.",
    )
    outbox_path: Path = Field(Path("outbox.db"), description="File in which prices wait for DynamoDB.")
    outbox_max_bytes: int = Field(1 << 30, ge=1 << 20, description="Its bound; past it, the oldest cold ones go.")
    retention_days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(
        None, description="Days after which history forgets a price; none keeps it for good."
    )
    exchanges: str = Field(
        DEFAULT_EXCHANGES,
        description=f"Comma-separated name=dialect+url ({', '.join(DIALECTS)}); a dialect alone, or ccxt:NAME:"
        " its public address; +ws behind it: pushed, as in binance+ws or name=binance+http://…+ws://…;"
        " replay+file://…: a recording.",
    )
    hot_size: int = Field(20, ge=0, description="The first so many symbols are hot.")
    medium_size: int = Field(180, ge=0, description="The next so many are medium; the rest is cold.")
    hot_interval: Seconds = Field(5, description="Seconds between refreshes of a hot asset.")
    medium_interval: Seconds = Field(30, description="Seconds between refreshes of a medium asset.")
    cold_interval: Seconds = Field(300, description="Seconds between refreshes of a cold asset.")
    tiering: Literal["static", "popular"] = Field(
        "static", description="Tiers by row of the symbols file, or re-ranked by how often an asset is asked for."
    )
    rank_interval: Seconds = Field(300, description="Seconds between two rankings, with popular tiering.")
    pinned: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated symbols that keep their tier, with popular tiering."
    )
    max_deviation: Decimal = Field(
        Decimal("0.05"),
        gt=0,
        le=1,
        description="Of three or more tickers, one further than this from the median goes; two agree within this of the"
        " lower one.",
    )
    min_sources: int = Field(
        default_factory=_usual_min_sources,
        ge=1,
        le=100,
        description="Fewer tickers than this make no price. With 1, a venue that answers alone is believed.",
    )
    max_weight: Decimal = Field(
        Decimal("0.5"),
        gt=0,
        le=1,
        decimal_places=6,
        description="No ticker has a larger weight than this, or than an equal share where that is more; 1 weights by"
        " volume alone.",
    )
    conversions: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated rates such as usdtusd: where btcusd is not listed, btcusdt x usdtusd is taken.",
    )
    exchange_timeout: Seconds = Field(2, description="Seconds until a call to an exchange is given up.")
    exchange_concurrency: Annotated[int, Field(ge=4, le=10_000)] = Field(
        128, description="Calls to one exchange at a time; each tier may use a quarter of it."
    )
    exchange_batch: Count = Field(
        1000, description="Symbols asked for in one call, where the exchange takes several; 1 asks one by one."
    )
    grace: Seconds = Field(0.25, description="Seconds the rest gets once a majority of exchanges has answered.")
    redis_timeout: Seconds = Field(0.25, description="Seconds until a call to Redis is given up.")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Comma-separated keys; with any, POST /refresh needs one of them."
    )
    read_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Comma-separated keys; with any, reading prices and history needs one of these or of API_KEYS."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated hosts that are served, `*.` before a domain for all below it, `*` for any. Unless"
        " set: localhost, 127.0.0.1, [::1] and HOST; where that is 0.0.0.0 or ::, any address.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated origins, as https://example.com, whose pages may use the API; `*` for any."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks whose X-Forwarded-For says who asks, for the bound on keys.",
    )
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1000, description="Requests under way at once in one process; those beyond get 503 with Retry-After."
    )
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, description="Connections open at once in one process, and at most 3/4 of the files it may open."
    )
    max_streams: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        2000, description="Live streams open at once in one process, /stream and /ws together; then 503."
    )
    stream_replay: Annotated[int, Field(ge=1000, le=1_000_000)] = Field(
        10_000, description="Last prices kept in one process for streams that come back and go on, at some 600 bytes."
    )
    stream_seconds: Seconds | None = Field(
        None, description="Seconds after which a live stream is ended, for the client to come again; none for never."
    )
    fast_path: bool = Field(
        default=True, description="true serves prices in the local cache without Starlette; false, every read with it."
    )
    refresh_cooldown: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        1, description="Seconds after a POST /refresh in which another one of that asset gets 429."
    )
    refresh_rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = Field(
        50, description="POST /refresh per second in one process, all assets together; those beyond get 429."
    )
    log_format: Literal["console", "json"] = Field("console", description="console or json.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least to be logged.")
    traces: Literal["none", "otlp"] = Field(
        "none", description="otlp sends traces as OpenTelemetry's OTEL_ variables say; it needs the extra `otel`."
    )

    @field_validator("api_keys", "read_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value

    @field_validator("pinned", "conversions", *_ENTRIES, mode="before")
    @classmethod
    def _split_symbols(cls, value: object) -> object:
        return tuple(filter(None, value.lower().replace(" ", "").split(","))) if isinstance(value, str) else value

    @field_validator(*_ENTRIES)
    @classmethod
    def _check_entries(cls, entries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(map(_ENTRIES[str(info.field_name)], entries))

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
        exchange_targets(text)
        return text

    @field_validator("traces")
    @classmethod
    def _check_traces(cls, traces: str) -> str:
        if traces == "otlp" and not _is_installed(*_OTEL):
            raise ValueError("OpenTelemetry is not installed; in a clone: .venv/bin/pip install -e '.[otel]'")
        return traces

    @model_validator(mode="after")
    def _check_order(self) -> "Settings":
        if not self.hot_interval <= self.medium_interval <= self.cold_interval:
            raise ValueError("hot_interval <= medium_interval <= cold_interval must hold")
        if self.min_sources > len(exchange_targets(self.exchanges)):
            raise ValueError("min_sources is more than there are exchanges: no price could ever be made")
        return self

    @model_validator(mode="after")
    def _check_processes(self) -> "Settings":
        if not self.shares_cache and (self.role != "all" or self.workers > 1):
            asked = f"role={self.role}" if self.role != "all" else f"workers={self.workers}"
            raise ValueError(
                f"{asked} means several processes, and cache_url={self.cache_url} is inside one, where the others do"
                " not see its prices; give them a redis://"
            )
        if self.role == "refresher" and self.workers > 1:
            raise ValueError("workers answer requests, which role=refresher does not; start it several times instead")
        return self

    @property
    def shares_cache(self) -> bool:
        """Whether other processes see the prices in the cache."""
        return cache_store(self.cache_url).is_shared

    @property
    def cadence(self) -> Mapping[Tier, Cadence]:
        """The tiers' intervals."""
        intervals = {Tier.HOT: self.hot_interval, Tier.MEDIUM: self.medium_interval, Tier.COLD: self.cold_interval}
        return {tier: Cadence(interval) for tier, interval in intervals.items()}


def _is_installed(*modules: str) -> bool:
    try:
        return all(importlib.util.find_spec(module) is not None for module in modules)
    except ImportError:  # of what it is in
        return False
