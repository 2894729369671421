"""Each exchange asked once, and its ticker judged as the refresher would; its listing, and its feed if it has one."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aggregator.cli.doctor.examination import Finding, Level, Seen, broken, fine, odd
from aggregator.errors import ExchangeError
from aggregator.exchanges.http import session
from aggregator.exchanges.targets import REPLAY, ExchangeTarget
from aggregator.models import Asset, Clock, LeftOut, NoPrice, Reason, Ticker, Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices.pricing import Rules, aggregate
from aggregator.prices.tiers import Catalog
from aggregator.resilience.circuit_breaker import BreakerGroup
from aggregator.runtime.exchanges import Opened, Parts, open_one
from aggregator.settings import Settings

_MENDS = {
    Reason.TIMEOUT: "see whether it hangs, or raise AGGREGATOR_EXCHANGE_TIMEOUT",
    Reason.UNREACHABLE: "check its address (AGGREGATOR_EXCHANGES), DNS, firewall and proxy",
    Reason.RATE_LIMITED: "ask it less: longer intervals, fewer assets, one address for fewer processes",
    Reason.BLOCKED: "run this elsewhere, or take it out of AGGREGATOR_EXCHANGES: it does not serve this place",
    Reason.TOO_OLD: "its feed stands still, or this machine's clock is ahead",
    Reason.FROM_THE_FUTURE: "its clock is ahead, or this machine's behind",
}
_USUAL = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)  # to ask for where the symbols file cannot be read
_JUST_NOW = 1.0  # seconds; an older ticker says nothing of the time its exchange has now
_ANY_MEND = "check its address and dialect (AGGREGATOR_EXCHANGES)"
_FEED_MEND = "check that WebSockets get through firewall and proxy, or name it without +ws (AGGREGATOR_EXCHANGES)"
_LOOK = 0.05  # seconds between two looks at a feed


async def exchange_check(settings: Settings, target: ExchangeTarget, seen: Seen) -> Sequence[Finding]:
    """Ask one exchange for the first asset that it lists; `seen` hears how far its clock is ahead, where it tells."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        opened = await _opened(settings, target, seen, metrics, stack)
        unread = await opened.polled.read_listing()
        assets = seen.assets or [_USUAL]
        asset = next((one for one in assets if opened.polled.trades(one.symbol) is not False), assets[0])
        started = time.monotonic()
        answer = (await opened.whole(metrics).fetch([asset]))[asset.symbol]
        milliseconds = (time.monotonic() - started) * 1000
    if isinstance(answer, Ticker) and answer.clock is Clock.EXCHANGE and target.dialect != REPLAY:
        _compare(answer.timestamp, seen)
    found = _judged(f"exchange {target.name}", asset, answer, milliseconds, settings)
    return [found] if unread is None or found.level is Level.FAIL else [found, _unlisted(target.name, unread)]


async def feed_check(settings: Settings, target: ExchangeTarget, seen: Seen, seconds: float) -> Sequence[Finding]:
    """Listen to one exchange's feed until it has pushed a young ticker, at most for `seconds`."""
    check = f"feed {target.name}"
    async with AsyncExitStack() as stack:
        feed = (await _opened(settings, target, seen, Metrics(), stack)).feed
        assert feed is not None  # noqa: S101  # nobody asks for those that have none
        listening = asyncio.create_task(feed.run())
        started = time.monotonic()
        while (feed.newest_ticker is None or feed.trouble) and time.monotonic() < started + seconds:  # noqa: ASYNC110  # a feed has no bell
            await asyncio.sleep(_LOOK)
        listening.cancel()
        await asyncio.wait([listening])
    if feed.trouble or feed.newest_ticker is None:
        return [odd(check, f"pushes nothing young, so it is polled: {feed.trouble or 'nothing to push'}", _FEED_MEND)]
    return [fine(check, f"pushes; its first young ticker came after {time.monotonic() - started:.1f} s")]


async def _opened(
    settings: Settings, target: ExchangeTarget, seen: Seen, metrics: Metrics, stack: AsyncExitStack
) -> Opened:
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    catalog = Catalog({asset.symbol: asset for asset in seen.assets or [_USUAL]}, settings.cadence)
    return open_one(target, Parts(settings, catalog, BreakerGroup(), http, metrics), stack)


def _compare(timestamp: float, seen: Seen) -> None:
    now = time.time()
    if timestamp > now - _JUST_NOW:
        seen.ahead.append(timestamp - now)


def _judged(check: str, asset: Asset, answer: Ticker | LeftOut, milliseconds: float, settings: Settings) -> Finding:
    now = time.time()
    rules = Rules(settings.cadence[asset.tier].max_age, settings.max_deviation, 1, settings.max_weight)
    judged = aggregate(asset, [answer], rules, now)
    if isinstance(judged, NoPrice):
        return _left_out(check, judged.left_out[0], asset)
    age = max(0.0, now - judged.timestamp)
    return fine(check, f"{asset.symbol} is {judged.price}, {age:.1f} s old; answered in {milliseconds:.0f} ms")


def _left_out(check: str, why: LeftOut, asset: Asset) -> Finding:
    if why.reason is Reason.NOT_LISTED:
        mend = "list what it knows in the symbols file, or do without its part"
        return odd(check, f"it does not list {asset.symbol} ({why.detail})", mend)
    return broken(check, f"{why.reason.value} {why.detail}".strip(), _MENDS.get(why.reason, _ANY_MEND))


def _unlisted(name: str, error: ExchangeError) -> Finding:
    says = f"cannot be read ({error.reason.value} {error}), so every asset is asked for there"
    return odd(f"listing {name}", says, "nothing, if that passes: the service tries again")
