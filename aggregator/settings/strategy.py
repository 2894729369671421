"""The settings of the paper strategy."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

Drop = Annotated[Decimal, Field(gt=0, le=100, max_digits=30)]
Gain = Annotated[Decimal, Field(gt=0, le=1000, max_digits=30)]
Stop = Annotated[Decimal, Field(gt=0, lt=100, max_digits=30)]
Amount = Annotated[Decimal, Field(gt=0, le=1_000_000_000_000, max_digits=30)]


class StrategySettings(BaseSettings):
    """The part of the settings that the paper strategy has."""

    strategy: bool = Field(
        default=False,
        description="true trades on paper: signals and positions of every asset with trades. No order is sent.",
    )
    strategy_drop: Drop = Field(
        Decimal(2), description="Percent by which a price must fall within a minute for a paper buy."
    )
    strategy_gain: Gain = Field(
        Decimal(5), description="Percent above its entry price at which a paper position is sold."
    )
    strategy_stop: Stop | None = Field(
        None, description="Percent below its entry price at which a paper position is sold, too; none: it is kept."
    )
    strategy_amount: Amount = Field(
        Decimal(1000), description="What a paper buy spends, in units of the quote currency of its asset."
    )
