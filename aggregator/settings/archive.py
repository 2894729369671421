"""The settings of the archive."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from aggregator.archive import address


class ArchiveSettings(BaseSettings):
    """The part of the settings that the archive has."""

    archive_url: str = Field(
        "", description=f"Where events are archived as Parquet files: {address.FORM}. Without it, nothing is archived."
    )
    archive_path: Path = Field(
        Path("archive.db"), description="File that notes which events the archive may lack; keep it beside the stores."
    )

    @field_validator("archive_url")
    @classmethod
    def _check_archive(cls, url: str) -> str:
        if url:
            address.parse_archive_url(url)
        return url
