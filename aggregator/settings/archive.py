"""The settings of the archive."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from aggregator.archive.layout import LENGTHS
from aggregator.archive.storages import address


class ArchiveSettings(BaseSettings):
    """The part of the settings that the archive has."""

    archive_url: str = Field(
        "", description=f"Where events are archived as Parquet files: {address.FORM}. Without it, nothing is archived."
    )
    archive_path: Path = Field(
        Path("archive.db"), description="File that notes which events the archive may lack; keep it beside the stores."
    )
    archive_flush: int = Field(
        300, ge=60, le=3600, description="Seconds of event time in one file of the archive: 60, 300, 900 or 3600."
    )

    @field_validator("archive_flush")
    @classmethod
    def _check_flush(cls, seconds: int) -> int:
        if seconds not in LENGTHS:
            raise ValueError(f"must be {', '.join(map(str, LENGTHS[:-1]))} or {LENGTHS[-1]}")
        return seconds

    @field_validator("archive_url")
    @classmethod
    def _check_archive(cls, url: str) -> str:
        if url:
            address.parse_archive_url(url)
        return url
