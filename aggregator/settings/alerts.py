"""The settings of alerts."""

from pydantic import Field
from pydantic_settings import BaseSettings


class AlertSettings(BaseSettings):
    """The part of the settings that alerts have."""

    alerts_file: str = Field(
        "",
        description="JSON file with an array of rules of alerts, each as POST /alerts takes it. They are kept beside"
        " those that are added by POST, and are read at the start. Without it, rules are added by POST only.",
    )
