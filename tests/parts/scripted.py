"""In-memory parts with exact timing: an exchange that answers by script, and a cache that can be away, slow or hang."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from aggregator.errors import StoreUnavailable
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Asset, LeftOut, Price, RateTokens, Reason, Ticker, VenueWindow
from aggregator.newest import NewestPrices
from aggregator.stores.memory import MemoryCache
from tests.parts.examples import CADENCE, ticker


class ScriptedExchange:
    """Answers with a ticker at `price`, or with what `script` returns; None makes a call hang until `let_go` is set."""

    breaker_state = "closed"
    idle_seconds = None
    silent_seconds = 0.0
    newest_ticker = None
    quiet_seconds = 0.0
    push_trouble: str | None = None
    rejection = ""
    tokens: RateTokens | None = None
    listed: int | None = None
    window = VenueWindow()
    calls_a_second: float | None = None

    def __init__(self, name: str, price: str = "100", now: Callable[[], float] = time.time, batch: int = 1) -> None:
        self.name = name
        self.batch = batch
        self.calls = 0
        self.price = price
        self.script: Callable[[Asset], Ticker | LeftOut | None] = self._ticker
        self.asked: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.cancelled = 0
        self.let_go = asyncio.Event()
        self._now = now
        self._newest: dict[str, Ticker] = {}
        self._listener: Callable[[str], None] = lambda _: None
        self.listing: set[str] | None = None

    def trades(self, symbol: str) -> bool | None:
        """Return whether `listing` has the symbol; None when there is no listing."""
        return None if self.listing is None else symbol in self.listing

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Answer each asset by the script."""
        self.asked += [asset.symbol for asset in assets]
        assert len(assets) <= self.batch
        self.calls += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return {asset.symbol: await self._answer(asset) for asset in assets}
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1

    def pushed(self, asset: Asset) -> Ticker | None:
        """Return the ticker that `push` got last."""
        return self._newest.get(asset.symbol)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Tell `listener` of what `push` gets."""
        self._listener = listener

    def push(self, pushed: Ticker) -> None:
        """Push a ticker."""
        self._newest[pushed.symbol] = pushed
        self._listener(pushed.symbol)

    async def _answer(self, asset: Asset) -> Ticker | LeftOut:
        await asyncio.sleep(0)  # a real exchange never answers without a pause: callers must meet other tasks here
        answer = self.script(asset)
        if answer is not None:
            return answer
        await self.let_go.wait()
        return self._ticker(asset)

    def _ticker(self, asset: Asset) -> Ticker:
        return ticker(self.name, self.price, timestamp=self._now(), symbol=asset.symbol)

    def hang(self) -> None:
        """Make all calls from now on hang until `let_go` is set."""
        self.script = lambda _: None

    def hang_but_for(self, symbol: str) -> None:
        """Make the calls for all other assets hang until `let_go` is set."""
        self.script = lambda asset: self._ticker(asset) if asset.symbol == symbol else None

    def refuse(self, reason: Reason) -> None:
        """Leave every asset out with this reason from now on."""
        self.script = lambda _: LeftOut(self.name, reason)


class Store(MemoryCache):
    """A memory cache that counts reads, records writes, and can be away, hang on reads, or serve `peek`.

    While `slow` is an event, a read takes its result at once and returns it when the event is set.
    """

    def __init__(self) -> None:
        super().__init__(NewestPrices({tier: cadence.ttl for tier, cadence in CADENCE.items()}), Bus([PRICES]))
        self.away = self.hanging = self.near = False
        self.written: list[Price] = []
        self.reads = 0
        self.slow: asyncio.Event | None = None
        self.asked = asyncio.Event()

    def forget(self) -> None:
        """Expire all prices."""
        self.newest.release_all()

    async def write(self, prices: Sequence[Price]) -> None:
        """Store prices; raise StoreUnavailable while away."""
        self._check()
        self.written += prices
        await super().write(prices)

    def peek(self, symbol: str) -> Price | None:
        """Return a price only while `near` is set; otherwise callers must use `latest`."""
        return super().peek(symbol) if self.near else None

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the latest prices; raise StoreUnavailable while away."""
        self.reads += 1
        if self.hanging:
            await asyncio.Event().wait()
        self._check()
        found = await super().latest(symbols)
        self.asked.set()
        if self.slow is not None:
            await self.slow.wait()
        return found

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")
