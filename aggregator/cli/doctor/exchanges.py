"""Checks of the exchanges: one ticker of each, judged as the refresher would, its listing, and its feed."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aggregator.cli.doctor.checks import Context, Finding, Level, failure, passed, warning
from aggregator.errors import ExchangeError
from aggregator.exchanges.http import session
from aggregator.exchanges.targets import REPLAY, ExchangeTarget
from aggregator.models import Asset, Clock, LeftOut, NoPrice, Reason, Ticker, Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices.pricing import Rules, aggregate
from aggregator.prices.tiers import Catalog
from aggregator.resilience.circuit_breaker import BreakerGroup
from aggregator.runtime.parts.exchanges import Opened, Parts, open_one
from aggregator.settings import Settings

_MENDS = {
    Reason.TIMEOUT: "check whether it hangs, or raise AGGREGATOR_EXCHANGE_TIMEOUT",
    Reason.UNREACHABLE: "check its address (AGGREGATOR_EXCHANGES), DNS, firewall and proxy",
    Reason.RATE_LIMITED: "call it less often: longer intervals, fewer assets, or fewer processes behind one IP address",
    Reason.BLOCKED: "run the service in another country or network, or remove it from AGGREGATOR_EXCHANGES",
    Reason.TOO_OLD: "its prices do not change, or the clock of this machine is ahead",
    Reason.FROM_THE_FUTURE: "its clock is ahead, or the clock of this machine is behind",
}
_USUAL = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)  # used where the symbols file cannot be read
_JUST_NOW = 1.0  # seconds; an older ticker does not show the present time of the exchange
_ANY_MEND = "check its address and dialect (AGGREGATOR_EXCHANGES)"
_FEED_MEND = "check that firewall and proxy let WebSockets pass, or remove +ws (AGGREGATOR_EXCHANGES)"
_LOOK = 0.05  # seconds between two looks at a feed


async def exchange_check(settings: Settings, target: ExchangeTarget, context: Context) -> Sequence[Finding]:
    """Fetch the first asset that the exchange lists; note the offset of its clock, where its tickers have a time."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        opened = await _opened(settings, target, context, metrics, stack)
        unread = await opened.polled.read_listing()
        assets = context.assets or [_USUAL]
        asset = next((one for one in assets if opened.polled.trades(one.symbol) is not False), assets[0])
        started = time.monotonic()
        answer = (await opened.whole(metrics).fetch([asset]))[asset.symbol]
        milliseconds = (time.monotonic() - started) * 1000
    if isinstance(answer, Ticker) and answer.clock is Clock.EXCHANGE and target.dialect != REPLAY:
        _compare(answer.timestamp, context)
    found = _judged(f"exchange {target.name}", asset, answer, milliseconds, settings)
    return [found] if unread is None or found.level is Level.FAIL else [found, _unlisted(target.name, unread)]


async def feed_check(settings: Settings, target: ExchangeTarget, context: Context, seconds: float) -> Sequence[Finding]:
    """Listen to the feed of an exchange until it has pushed a fresh ticker, for at most `seconds`."""
    check = f"feed {target.name}"
    async with AsyncExitStack() as stack:
        feed = (await _opened(settings, target, context, Metrics(), stack)).feed
        assert feed is not None  # noqa: S101  # only feeds are checked here
        listening = asyncio.create_task(feed.run())
        started = time.monotonic()
        while (feed.newest_ticker is None or feed.trouble) and time.monotonic() < started + seconds:  # noqa: ASYNC110  # a feed has no event
            await asyncio.sleep(_LOOK)
        listening.cancel()
        await asyncio.wait([listening])
    if feed.trouble or feed.newest_ticker is None:
        return [
            warning(
                check,
                f"pushes no fresh ticker, so the exchange is polled: {feed.trouble or 'nothing to push'}",
                _FEED_MEND,
            )
        ]
    return [passed(check, f"pushes; its first fresh ticker came after {time.monotonic() - started:.1f} s")]


async def _opened(
    settings: Settings, target: ExchangeTarget, context: Context, metrics: Metrics, stack: AsyncExitStack
) -> Opened:
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    catalog = Catalog({asset.symbol: asset for asset in context.assets or [_USUAL]}, settings.cadence)
    return open_one(target, Parts(settings, catalog, BreakerGroup(), http, metrics), stack)


def _compare(timestamp: float, context: Context) -> None:
    now = time.time()
    if timestamp > now - _JUST_NOW:
        context.clock_offsets.append(timestamp - now)


def _judged(check: str, asset: Asset, answer: Ticker | LeftOut, milliseconds: float, settings: Settings) -> Finding:
    now = time.time()
    rules = Rules(settings.cadence[asset.tier].max_age, settings.max_deviation, 1, settings.max_weight)
    judged = aggregate(asset, [answer], rules, now)
    if isinstance(judged, NoPrice):
        return _left_out(check, judged.left_out[0], asset)
    age = max(0.0, now - judged.timestamp)
    return passed(check, f"{asset.symbol} is {judged.price}, {age:.1f} s old; answered in {milliseconds:.0f} ms")


def _left_out(check: str, why: LeftOut, asset: Asset) -> Finding:
    if why.reason is Reason.NOT_LISTED:
        mend = "use symbols that it lists in the symbols file, or accept prices without it"
        return warning(check, f"it does not list {asset.symbol} ({why.detail})", mend)
    return failure(check, f"{why.reason.value}: {why.detail}".removesuffix(": "), _MENDS.get(why.reason, _ANY_MEND))


def _unlisted(name: str, error: ExchangeError) -> Finding:
    says = f"cannot be read ({error.reason.value} {error}), so the service asks this exchange for every asset"
    return warning(f"listing {name}", says, "nothing, if it is temporary: the service tries again")
