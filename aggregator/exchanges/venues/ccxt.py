"""Any exchange of the ccxt library, `ccxt:NAME`, behind the same breaker and rate limiter as our own dialects.

ccxt is an extra (in a clone: `.venv/bin/pip install -e '.[ccxt]'`), imported only where EXCHANGES names it: the import
takes three seconds and 100 MB. Each call asks for one symbol, at the pace that ccxt gives for the exchange; ccxt's own
throttle, whose queue has no bound, stays off.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from aggregator.errors import (
    CannotGoOn,
    ExchangeError,
    ExchangeHttpError,
    ExchangeTimeout,
    ExchangeUnreachable,
    Maintenance,
    NotListed,
    RateLimited,
    Undecodable,
)
from aggregator.exchanges.decoding import joined
from aggregator.exchanges.dialect import Bucket, Market, Tickers
from aggregator.exchanges.guarded_exchange import GuardedExchange
from aggregator.exchanges.retry_after import retry_after
from aggregator.libraries.extras import install
from aggregator.models import Asset, Clock, Ticker
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.resilience.circuit_breaker import BreakerGroup

_LISTING_SECONDS = 30.0
_OF_THE_PACE = 0.9  # leaves room for two calls that the network brings closer together
_UNKNOWN = re.compile("unknown (asset )?(pair|symbol|market)", re.IGNORECASE)  # texts for which ccxt has no class
_ADDRESS = re.compile(r"https?://[^/]+")
# By the names of ccxt's classes; of an error's classes the narrowest decides. Any other error is Undecodable.
_KINDS: Mapping[str, type[ExchangeError]] = {
    "BadSymbol": NotListed,
    "OrderNotFound": NotListed,  # raised by ccxt's Coinbase for any 404
    "OnMaintenance": Maintenance,
    "RateLimitExceeded": RateLimited,
    "DDoSProtection": RateLimited,
    "RequestTimeout": ExchangeTimeout,
    "ExchangeNotAvailable": ExchangeHttpError,
    "NetworkError": ExchangeUnreachable,
    "BadResponse": Undecodable,
    "BaseError": ExchangeHttpError,
}


class CcxtExchange(GuardedExchange):
    """`aggregator.ports.Exchange`. `library` is ccxt's name of the exchange; `url`, if any, replaces its own."""

    def __init__(
        self,
        name: str,
        library: str,
        url: str,
        metrics: Metrics,
        concurrency: int,
        timeout: float,
        breaker_group: BreakerGroup | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._client = _client(library, url)
        self._timeout = timeout
        distance = max(1.0, float(self._client.rateLimit)) / 1000  # seconds from one call to the next
        rate_limit = Bucket(_OF_THE_PACE / distance, 1)
        super().__init__(name, metrics, concurrency, 1, rate_limit, breaker_group, clock, now, tracer)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    def _name_of(self, asset: Asset) -> str:
        return joined(asset, "/")

    async def _list(self) -> Iterable[Market]:
        markets = await self._call_library(self._client.load_markets(reload=True), _LISTING_SECONDS)
        return [
            Market(f"{one['base']}{one['quote']}".lower(), one["symbol"], one.get("active") is not False)
            for one in markets.values()
            if one.get("spot")
        ]

    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        market = markets[0]
        said = await self._call_library(self._client.fetch_ticker(market.name), self._timeout)
        try:
            return {market.symbol: self._ticker(said)}
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise Undecodable(f"{type(error).__name__} in ccxt's ticker") from error

    def _ticker(self, said: Mapping[str, Any]) -> Ticker:
        symbol = str(said["symbol"]).partition(":")[0].replace("/", "").lower()
        price, volume, milliseconds = said["last"], said["baseVolume"], said["timestamp"]
        if price is None or volume is None:
            raise Undecodable(f"no {'price' if price is None else 'volume'} in ccxt's ticker")
        timestamp = self._now() if milliseconds is None else milliseconds / 1000
        clock = Clock.RECEIPT if milliseconds is None else Clock.EXCHANGE
        return Ticker(self.name, symbol, Decimal(price), Decimal(volume), timestamp, clock)

    async def _call_library(self, call: Any, seconds: float) -> Any:
        """Return the result of a coroutine of ccxt; any exception becomes an ExchangeError."""
        try:
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError as error:
            raise ExchangeTimeout("no answer in time") from error
        except Exception as error:
            raise self._mapped(error) from error

    def _mapped(self, error: Exception) -> ExchangeError:
        names = [parent.__name__ for parent in type(error).__mro__]
        kind = next((_KINDS[name] for name in names if name in _KINDS), Undecodable)
        kind = NotListed if kind is ExchangeHttpError and _UNKNOWN.search(str(error)) else kind
        text = f"{names[0]}: {error!s:.200}"
        if kind is RateLimited:
            headers = self._client.last_response_headers or {}
            found = {name.lower(): value for name, value in headers.items()}
            return RateLimited(text, retry_after(found.get("retry-after", ""), found.get("date", ""), self._now()))
        if kind is ExchangeHttpError and isinstance(error.__cause__ or error.__context__, OSError):
            return ExchangeUnreachable(text)
        return kind(text)


def _client(library: str, url: str) -> Any:
    """Return ccxt's client for the exchange. Raises CannotGoOn if ccxt is not installed or has no such exchange."""
    try:
        import ccxt.async_support as ccxt  # noqa: PLC0415  # takes 3 s and 117 MB
    except ImportError as error:
        raise CannotGoOn(f"ccxt:{library} needs ccxt, which is not installed", install("ccxt")) from error
    if library not in ccxt.exchanges:
        raise CannotGoOn(
            f"ccxt knows no exchange {library!r}", "`python -c 'import ccxt; print(ccxt.exchanges)'` lists all"
        )
    options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "warnOnFetchOpenOrdersWithoutSymbol": False}
    client = getattr(ccxt, library)({"enableRateLimit": False, "timeout": _LISTING_SECONDS * 1000, "options": options})
    client.number = str  # keeps every digit
    client.has["fetchCurrencies"] = False  # not needed, and some exchanges want a key for it
    if url:
        client.urls["api"] = _replaced(client.urls["api"], url.rstrip("/"))
    return client


def _replaced(addresses: Any, url: str) -> Any:
    """Return the nested `addresses` with `url` in place of each scheme and host."""
    if isinstance(addresses, dict):
        return {name: _replaced(address, url) for name, address in addresses.items()}
    return _ADDRESS.sub(url, addresses) if isinstance(addresses, str) else addresses
