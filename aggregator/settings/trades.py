"""The settings of the trade stream."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from aggregator.libraries.extras import has_extra, install
from aggregator.settings.durations import seconds_of
from aggregator.settings.postgres import PostgresSettings
from aggregator.stores.trades.registry import trade_forms, trade_store
from aggregator.trades.event_log.kafka import address as kafka_address
from aggregator.trades.event_log.kafka.address import parse_kafka_url
from aggregator.trades.event_log.kinesis import address as kinesis_address
from aggregator.trades.event_log.kinesis.address import parse_kinesis_url

MEMORY, KINESIS = "memory://", "kinesis://"


class TradeSettings(PostgresSettings):
    """The part of the settings that the trade stream has."""

    trades_url: str = Field("sqlite:///trades.db", description=f"Address of the store of trades: {trade_forms()}.")
    trades_log: str = Field(
        MEMORY,
        description=f"Where trades wait until they are stored: {MEMORY} (of the process), {kafka_address.FORM}"
        f" or {kinesis_address.FORM}.",
    )
    kafka_username: str = Field(
        "", description="User of the Kafka brokers; without one, no SASL is used, except AWS_MSK_IAM."
    )
    kafka_password: SecretStr = Field(SecretStr(""), description="Password of the Kafka brokers.")
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM"] = Field(
        "SCRAM-SHA-512",
        description="SASL mechanism of the Kafka brokers, where KAFKA_USERNAME is set. AWS_MSK_IAM signs in to Amazon"
        " MSK with AWS credentials instead of a user.",
    )
    kafka_ca: str = Field(
        "", description="PEM file of the authorities that sign the brokers' certificates; default: the system's."
    )
    trades_outbox_path: Path = Field(
        Path("trades-outbox.db"), description="File in which trades wait until DynamoDB has them."
    )
    dead_letters_path: Path = Field(
        Path("dead-letters.db"), description="File that keeps what was sent as a trade and is none."
    )
    trades_retention: Annotated[float, Field(gt=0, le=315_360_000), BeforeValidator(seconds_of)] = Field(
        172_800, description="Seconds after which a trade is deleted; also as 48h, 30m or 7d."
    )
    trade_feeds: bool = Field(
        default=False,
        description="true subscribes to the trades of the hot assets at every exchange that has a WebSocket feed, in"
        " processes of the roles all and refresher.",
    )
    allowed_lateness: Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)] = Field(
        5, description="Seconds behind the newest trade of its asset after which a trade has no part in windows."
    )
    window_trades: Annotated[int, Field(ge=1000, le=1_000_000)] = Field(
        10_000,
        description="Most trades of one asset that windows hold one by one; beyond it, old ones are sums by second.",
    )
    ingest_backlog: Annotated[int, Field(ge=1000, le=10_000_000)] = Field(
        200_000, description="Most trades that wait to be stored; while they are more, POST /ingest gets 503."
    )
    ingest_rate: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = Field(
        None, description="Most POST /ingest per second of one API key, or of an address where no key is set; then 429."
    )

    @field_validator("trades_log")
    @classmethod
    def _check_trades_log(cls, url: str) -> str:
        if url == MEMORY:
            return url
        if url.startswith(KINESIS):
            parse_kinesis_url(url)
            return url
        if not url.startswith("kafka://"):
            raise ValueError(f"must be {MEMORY}, {kafka_address.EXAMPLE} or {kinesis_address.EXAMPLE}")
        parse_kafka_url(url)
        if not has_extra("kafka"):
            raise ValueError(f"confluent-kafka is not installed; {install('kafka')}")
        return url

    @property
    def reads_kafka(self) -> bool:
        """Whether trades wait in a Kafka topic."""
        return self.trades_log.startswith("kafka://")

    @property
    def reads_kinesis(self) -> bool:
        """Whether trades wait in a Kinesis stream."""
        return self.trades_log.startswith(KINESIS)

    @property
    def shares_log(self) -> bool:
        """Whether several processes can process the trades of the log."""
        return self.reads_kafka or self.reads_kinesis

    @field_validator("trades_url")
    @classmethod
    def _check_trades_url(cls, url: str) -> str:
        trade_store(url).check(url)
        return url
