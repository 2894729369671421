"""An exchange asked once for everything it lists and how much of it is traded, to make a symbols file of."""

from aggregator.exchanges.dialect import Answer
from aggregator.exchanges.http import HttpExchange
from aggregator.prices.liquidity import Listed

_MOST_BYTES = 64 << 20
_SECONDS = 30.0


class SurveyedExchange(HttpExchange):
    """Asked for two answers: its listing, and the last 24 hours of every market."""

    async def survey(self) -> list[Listed]:
        """Return the markets that it trades now, with volume and price where it tells them. Raises ExchangeError."""
        dialect = self._dialect
        markets = list(dialect.markets(await self._whole(dialect.listing, dialect.listing_cost)))
        days = {day.name: day for day in dialect.read_days(await self._whole(dialect.days, dialect.days_cost))}
        found = []
        for market in markets:
            if market.trading:
                day = days.get(market.name)
                volume, price = (None, None) if day is None else (day.volume, day.price)
                found.append(Listed(self.name, market.base, market.quote, volume, price))
        return found

    async def _whole(self, path: str, cost: float) -> Answer:
        if self._allowance is not None:
            await self._allowance.wait_turn(cost, hot=True)
            await self._allowance.acquire(cost)
        return self._good(await self._send(path, _MOST_BYTES, _SECONDS, ()))
