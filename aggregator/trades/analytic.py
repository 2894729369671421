"""The port of the analytics: parts that make something of each measured trade, such as anomalies and signals."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from aggregator.models import Trade
from aggregator.trades.features import Features


class Measured(msgspec.Struct, frozen=True, gc=False):
    """A trade that is the newest of its asset, and the features at it.

    `live`: the trade is processed for the first time; else it was stored before, and is measured again after a start
    or a takeover, so that state can be rebuilt.
    """

    trade: Trade
    features: Features
    live: bool


class Analytic(Protocol):
    """Takes the measured trades of the assets that this process processes, in the order of their times.

    Late trades and those that come after a newer one of their asset have no part. A trade can be taken again after
    `load`, with `live` false; it may then be one that a killed process stored, and that no analytic has taken.
    """

    @property
    def is_settled(self) -> bool:
        """Whether nothing that it has found waits to be stored.

        A kill would lose that unless the trades are taken again.
        """

    async def load(self, assets: Sequence[str]) -> None:
        """Read what is kept of assets, before their first trades. Raises StoreError; it is then called again."""

    def take(self, measured: Sequence[Measured]) -> None:
        """Handle measured trades of any number of assets. Must return at once, without I/O, and must not raise."""

    def forget(self, asset: str) -> None:
        """Forget an asset: another process has it now, or its trades are about to be measured again."""
