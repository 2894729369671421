"""The settings of the archive."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from aggregator.archive.address import FORM, parse_archive_url


class ArchiveSettings(BaseSettings):
    """The part of the settings that the archive has."""

    archive_url: str = Field("", description=f"Where the archive is: {FORM}; empty: there is none.")

    @field_validator("archive_url")
    @classmethod
    def _check_archive_url(cls, url: str) -> str:
        if url:
            parse_archive_url(url)
        return url
