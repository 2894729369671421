"""The settings of anomalies."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from aggregator.libraries.extras import has_extra, install

NEEDS_EXTRA = f"scikit-learn is not installed; {install('analytics')}"


class AnomalySettings(BaseSettings):
    """The part of the settings that anomalies have."""

    anomalies: Literal["auto", "true", "false"] = Field(
        "auto",
        description="true looks for unusual trades, in the process that processes trades; auto: if scikit-learn (the"
        " extra `analytics`) is installed.",
    )
    anomaly_cpu: Annotated[float, Field(ge=0.01, le=1, allow_inf_nan=False)] = Field(
        0.1, description="Share of a core that fitting the models of anomalies may take, on average."
    )
    state_dir: Path = Field(
        Path("state"), description="Folder that keeps the models of anomalies; its files can be deleted at any time."
    )

    @field_validator("anomalies")
    @classmethod
    def _check_anomalies(cls, anomalies: str) -> str:
        if anomalies == "true" and not has_extra("analytics"):
            raise ValueError(NEEDS_EXTRA)
        return anomalies

    @property
    def finds_anomalies(self) -> bool:
        """Whether a process that processes trades looks for unusual ones."""
        return self.anomalies != "false" and has_extra("analytics")
