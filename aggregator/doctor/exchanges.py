"""Each exchange asked once, and its ticker judged as the refresher would."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from aggregator.doctor.finding import Finding, Seen, broken, fine, odd
from aggregator.exchanges.http import HttpExchange
from aggregator.metrics import Metrics
from aggregator.models import Asset, LeftOut, NoPrice, Reason, Ticker, Tier
from aggregator.pricing import Rules, aggregate
from aggregator.service.opening import open_exchanges
from aggregator.settings import Settings

_MENDS = {
    Reason.TIMEOUT: "see whether it hangs, or raise AGGREGATOR_EXCHANGE_TIMEOUT",
    Reason.UNREACHABLE: "check its address (AGGREGATOR_EXCHANGES), DNS, firewall and proxy",
    Reason.RATE_LIMITED: "ask it less: longer intervals, fewer assets, one address for fewer processes",
    Reason.TOO_OLD: "its feed stands still, or this machine's clock is ahead",
    Reason.FROM_THE_FUTURE: "its clock is ahead, or this machine's behind",
}
_USUAL = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)  # to ask for where the symbols file cannot be read
_JUST_NOW = 1.0  # seconds; an older ticker says nothing of the time its exchange has now
_ANY_MEND = "check its address and dialect (AGGREGATOR_EXCHANGES)"


async def exchange_check(settings: Settings, name: str, seen: Seen) -> Sequence[Finding]:
    """Ask one exchange for the first asset; `seen` hears how far its time is ahead of ours, where its ticker tells."""
    async with AsyncExitStack() as stack:
        metrics = Metrics(CollectorRegistry())
        exchange = next(one for one in await open_exchanges(settings, metrics, stack) if one.name == name)
        return [await _asked(exchange, seen.assets[0] if seen.assets else _USUAL, settings, seen)]


async def _asked(exchange: HttpExchange, asset: Asset, settings: Settings, seen: Seen) -> Finding:
    started = time.monotonic()
    answer = (await exchange.fetch([asset]))[asset.symbol]
    milliseconds = (time.monotonic() - started) * 1000
    now = time.time()
    if isinstance(answer, Ticker) and answer.timestamp > now - _JUST_NOW:
        seen.ahead.append(answer.timestamp - now)
    rules = Rules(settings.cadence[asset.tier].max_age, settings.max_deviation, min_sources=1)
    judged = aggregate(asset, [answer], rules, now)
    check = f"exchange {exchange.name}"
    if isinstance(judged, NoPrice):
        return _left_out(check, judged.left_out[0], asset)
    age = max(0.0, now - judged.timestamp)
    return fine(check, f"{asset.symbol} is {judged.price}, {age:.1f} s old; answered in {milliseconds:.0f} ms")


def _left_out(check: str, why: LeftOut, asset: Asset) -> Finding:
    if why.reason is Reason.NOT_LISTED:
        mend = "list what it knows in the symbols file, or do without its part"
        return odd(check, f"it does not list {asset.symbol} ({why.detail})", mend)
    return broken(check, f"{why.reason.value} {why.detail}".strip(), _MENDS.get(why.reason, _ANY_MEND))
