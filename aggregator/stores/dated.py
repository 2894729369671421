"""A history that does not answer for prices whose age cannot be told."""

from collections.abc import Sequence

from aggregator.clock import SteadyClock
from aggregator.models import Price
from aggregator.ports import Store


class DatedHistory:
    """`aggregator.ports.Store` in front of a history: it has no latest price while the clock repeats a time.

    After the clock was set back by an hour, prices of an hour ago look young for an hour. They are not served; the
    exchanges are asked instead.
    """

    def __init__(self, history: Store, clock: SteadyClock) -> None:
        self._history = history
        self._clock = clock
        self.write = history.write
        self.ping = history.ping
        self.close = history.close

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`; nothing while the clock repeats a time."""
        return {} if self._clock.repeats else await self._history.latest(symbols)
