"""The settings of the role `streams`."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from aggregator.trades.event_log.kinesis.table_stream_address import FORM, parse_table_stream_url


class TableStreamSettings(BaseSettings):
    """The part of the settings that the stream of a table has."""

    table_stream: str = Field(
        "",
        description=f"Address of a DynamoDB table that others write, for role=streams: {FORM}. Its prices and trades"
        " are sent to the outlets.",
    )

    @field_validator("table_stream")
    @classmethod
    def _check_table_stream(cls, url: str) -> str:
        if url:
            parse_table_stream_url(url)
        return url
