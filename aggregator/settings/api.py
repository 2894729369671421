"""The settings of the HTTP API: keys, hosts, and bounds on what clients may ask for."""

from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from aggregator.api.access.hosts import allowed_host, allowed_origin, network

_ENTRIES = {"allowed_hosts": allowed_host, "cors_origins": allowed_origin, "trusted_proxies": network}

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


def entries_of(value: object) -> object:
    """Return the comma-separated entries of a text, in lower case and without blanks; anything else unchanged."""
    return tuple(filter(None, value.lower().replace(" ", "").split(","))) if isinstance(value, str) else value


class ApiSettings(BaseSettings):
    """The part of the settings that the API has."""

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Comma-separated keys. If any is set, POST /refresh, POST /ingest and changes of alert rules"
        " need one of them.",
    )
    read_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Comma-separated keys. If any is set, every read of prices, trades, findings and streams needs"
        " one of them or of API_KEYS.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated values of the Host header that are served; `*.example.com` covers all"
        " subdomains, `*` any host. Default: localhost, 127.0.0.1, [::1] and HOST; any IP address where HOST is"
        " 0.0.0.0 or ::.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated origins, such as https://example.com, whose pages may call the API; `*` for any.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks of proxies whose X-Forwarded-For is trusted."
        " It tells the client whose wrong keys are counted.",
    )
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1000, description="Most requests in flight in one process; further ones get 503 with Retry-After."
    )
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, description="Most open connections in one process; never more than 3/4 of the limit of open files."
    )
    max_streams: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        2000, description="Most open live streams in one process, /stream and /ws together; further ones get 503."
    )
    stream_replay: Annotated[int, Field(ge=1000, le=1_000_000)] = Field(
        10_000,
        description="Latest events of a topic kept in one process for streams that resume after a reconnect; a price"
        " takes some 600 bytes.",
    )
    stream_seconds: Seconds | None = Field(
        None,
        description="Seconds after which a live stream is closed, so that the client reconnects; none never closes it.",
    )
    fast_path: bool = Field(
        default=True,
        description="true answers frequent requests, such as those for prices in the local cache, without Starlette;"
        " false, every request with it.",
    )
    refresh_cooldown: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        1, description="Seconds after a POST /refresh in which another one for the same asset gets 429."
    )
    refresh_rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = Field(
        50, description="Most POST /refresh per second in one process, all assets together; further ones get 429."
    )

    @field_validator("api_keys", "read_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value

    @field_validator(*_ENTRIES, mode="before")
    @classmethod
    def _split_entries(cls, value: object) -> object:
        return entries_of(value)

    @field_validator(*_ENTRIES)
    @classmethod
    def _check_entries(cls, entries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(map(_ENTRIES[str(info.field_name)], entries))
