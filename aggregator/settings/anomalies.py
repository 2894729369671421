"""The settings of anomalies."""

from pydantic_settings import BaseSettings


class AnomalySettings(BaseSettings):
    """The part of the settings that anomalies have."""
