"""The settings of alerts."""

from pydantic_settings import BaseSettings


class AlertSettings(BaseSettings):
    """The part of the settings that alerts have."""
