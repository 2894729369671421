"""The settings of outlets."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from aggregator.outlets.address import FILTERS, OutletAddress
from aggregator.outlets.registry import check_public, outlet_forms, outlets_of
from aggregator.settings.table_streams import TableStreamSettings


class OutletSettings(TableStreamSettings):
    """The part of the settings that outlets have."""

    outlets: str = Field(
        "",
        repr=False,  # an address may have a secret
        description=f"Outlets that events are sent to, separated by semicolons: {outlet_forms()}. Each takes"
        f" ?{'&'.join(f'{name}=…' for name in FILTERS)}. Without any, events are sent nowhere.",
    )
    outlets_path: Path = Field(
        Path("outlets.db"), description="File in which events wait until the outlets have taken them."
    )
    outlets_max_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="Largest size of that file; when it is full, the oldest prices are dropped first, and signals,"
        " alerts and anomalies never.",
    )
    outlets_allow_private: bool = Field(
        default=False, description="true lets a webhook lead to private addresses, such as those of this machine."
    )

    @field_validator("outlets")
    @classmethod
    def _check_outlets(cls, text: str) -> str:
        outlets_of(text)
        return text

    @model_validator(mode="after")
    def _check_private(self) -> Self:
        if not self.outlets_allow_private:
            try:
                check_public(self.outlet_addresses)
            except ValueError as error:
                raise ValueError(f"AGGREGATOR_OUTLETS: {error}") from None
        return self

    @property
    def outlet_addresses(self) -> list[OutletAddress]:
        """The outlets."""
        return outlets_of(self.outlets)
