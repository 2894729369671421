"""The settings of the stores of events and positions."""

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings

from aggregator.settings.durations import seconds_of
from aggregator.stores.events.registry import event_forms, event_store


class EventSettings(BaseSettings):
    """The part of the settings that the stores of events and positions have."""

    events_url: str = Field(
        "sqlite:///events.db",
        description="Address of the store of anomalies, signals, sentiment, alerts and paper positions:"
        f" {event_forms()}.",
    )
    events_retention: Annotated[float, Field(gt=0, le=315_360_000), BeforeValidator(seconds_of)] = Field(
        2_592_000,
        description="Seconds after which an event is deleted; also as 30d or 48h. Closed positions are kept for good.",
    )

    @field_validator("events_url")
    @classmethod
    def _check_events_url(cls, url: str) -> str:
        event_store(url).check(url)
        return url
