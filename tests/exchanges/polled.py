"""A local venue, and the real client that polls it over HTTP."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from aggregator.exchanges.dialect import Dialect
from aggregator.exchanges.http import HttpExchange, Session
from aggregator.exchanges.registry import DIALECTS
from aggregator.models import Asset, LeftOut, Ticker, Tier
from aggregator.observability.metrics import Metrics
from tests.exchanges.venues.base import QUOTES, Venue
from tests.exchanges.venues.servers import SERVERS
from tests.parts.clock import Clock as Hands
from tests.parts.examples import NOW

MANY_A_CALL = tuple(name for name in SERVERS if DIALECTS[name]().most_symbols > 1)
ASSETS = [Asset(quote.symbol, quote.base, quote.quote, Tier.HOT, rank) for rank, quote in enumerate(QUOTES, start=1)]
BTC = ASSETS[0]
NOWHERE = Asset("nosuchcoin", "nosuch", "coin", Tier.COLD, 9)


class Scene:
    """A local venue and its client, whose clock the test moves."""

    def __init__(self, name: str, venue: Venue, http: Session, dialect: Dialect | None = None) -> None:
        self.name = name
        self.venue = venue
        self.hands = Hands()
        self.metrics = Metrics(CollectorRegistry())
        dialect = dialect or DIALECTS[name]()
        dialect.rate_limit = None  # which is in real seconds; see test_rate_limit.py
        self.exchange = HttpExchange(
            name, venue.url, dialect, http, self.metrics, 8, clock=self.hands, now=lambda: NOW + self.hands.now - 1000
        )

    async def ask(self, *assets: Asset) -> Mapping[str, Ticker | LeftOut]:
        """Fetch in batches of the size that the venue takes."""
        size = self.exchange.batch
        parts = [assets[first : first + size] for first in range(0, len(assets), size)]
        answers: dict[str, Ticker | LeftOut] = {}
        for part in parts:
            answers |= await self.exchange.fetch(part)
        return answers

    async def refusal(self, asset: Asset = BTC) -> LeftOut:
        """Fetch an asset for which there is no ticker, and return the reason."""
        answer = (await self.exchange.fetch([asset]))[asset.symbol]
        assert isinstance(answer, LeftOut), answer
        return answer

    def asked(self) -> list[str]:
        """Return the paths requested since the last call of this method."""
        asked, self.venue.asked = self.venue.asked, []
        return asked
