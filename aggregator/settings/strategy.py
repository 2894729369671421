"""The settings of the paper strategy."""

from pydantic_settings import BaseSettings


class StrategySettings(BaseSettings):
    """The part of the settings that the paper strategy has."""
