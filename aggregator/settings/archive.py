"""The settings of the archive."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from aggregator.archive import address


class ArchiveSettings(BaseSettings):
    """The part of the settings that the archive has."""

    archive_url: str = Field(
        "", description=f"Where events are archived as Parquet files: {address.FORM}. Without it, nothing is archived."
    )

    @field_validator("archive_url")
    @classmethod
    def _check_archive(cls, url: str) -> str:
        if url:
            address.parse_archive_url(url)
        return url
