"""The partitions of the log of trades, as /health and /ready show them."""

from typing import Annotated

from msgspec import Meta, Struct

from aggregator.trades.ports import LiveTrades

LONGEST_WAIT = 5.0  # seconds that a trade may wait for the processor before the service is degraded


class Partition(Struct, frozen=True):
    """A partition of the log of trades that the process reads."""

    partition: Annotated[int, Meta(ge=0)]
    records: Annotated[int, Meta(ge=0, description="Records that are not processed yet")]
    seconds: Annotated[float, Meta(ge=0, description="Age of the last processed record; 0 while none waits")]


def partitions_of(trades: LiveTrades | None) -> tuple[Partition, ...]:
    """Return the partitions that a process reads; none without a log that has partitions."""
    lags = () if trades is None else trades.lags
    return tuple(Partition(one.partition, one.records, one.seconds) for one in lags)
