"""The settings of news."""

from pydantic_settings import BaseSettings


class NewsSettings(BaseSettings):
    """The part of the settings that news have."""
