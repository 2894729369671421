"""Every registered venue is complete; a sentence names what is missing."""

import pkgutil

import pytest

from aggregator.exchanges import venues
from aggregator.exchanges.registry import VENUES, Limit, Venue
from aggregator.exchanges.venues.binance import BinancePush
from aggregator.exchanges.venues.coinbase import Coinbase
from aggregator.exchanges.venues.mock import Mock
from aggregator.exchanges.venues.mock_trades import MockTrades
from aggregator.models import Clock
from tests.exchanges.venues.servers import SERVED_ELSEWHERE, feed_of, server_of
from tests.exchanges.venues.trade_venues import TRADE_VENUES

LINE = "in its line of aggregator/exchanges/registry.py"
NOT_DIALECTS = {"ccxt"}  # a library's venues


def missing(name: str, venue: Venue) -> list[str]:
    """Return a sentence for each thing that the venue lacks."""
    sentences = []
    if venue.limits is None:
        sentences.append(
            f"{name} has no documented rate limits {LINE}: add limits=(Limit(calls, seconds),),"
            " or limits=() if its documentation states none."
        )
    elif venue.limits and venue.dialect().rate_limit is None:
        sentences.append(f"{name} has no rate_limit in its dialect: add a Bucket that keeps {venue.limits}.")
    elif not venue.limits and venue.dialect().rate_limit is not None:
        sentences.append(f"{name} has a rate_limit in its dialect and no limits {LINE}: add those that it keeps.")
    if venue.clock is None:
        sentences.append(
            f"{name} has no clock {LINE}: add clock=Clock.EXCHANGE if its tickers have a time, else Clock.RECEIPT."
        )
    if name in SERVED_ELSEWHERE:
        return sentences
    server = server_of(name)
    if server is None:
        sentences.append(
            f"{name} has no local test server: add tests/exchanges/venues/{name}.py with a subclass of Venue"
            " (tests/exchanges/venues/base.py), written from its documentation."
        )
    elif tuple(Limit(*limit) for limit in getattr(server, "documented_limits", ())) != (venue.limits or ()):
        sentences.append(
            f"{name} has other limits {LINE} than its local test server has in documented_limits: look them up, and"
            " write the same ones in both places."
        )
    if venue.trades is not None and name not in TRADE_VENUES:
        sentences.append(
            f"{name} has a trade dialect and no local feed of trades: add it to tests/exchanges/venues/trade_venues.py."
        )
    if venue.push is not None and feed_of(name) is None:
        sentences.append(
            f"{name} has a push dialect and no local feed: add to tests/exchanges/venues/{name}.py a subclass of Feed"
            " (tests/exchanges/venues/sockets.py)."
        )
    return sentences


@pytest.mark.parametrize("name", VENUES)
def test_nothing_is_missing(name: str) -> None:
    """Limits, clock, local test server, and a local feed if the venue pushes."""
    sentences = missing(name, VENUES[name])
    assert not sentences, " ".join(sentences)


def test_what_is_missing_is_named() -> None:
    """Each missing part gives one sentence with the place where it belongs."""
    forgotten = missing("nosuch", Venue(Mock, BinancePush, MockTrades))
    assert [sentence.partition(":")[0] for sentence in forgotten] == [
        f"nosuch has no documented rate limits {LINE}",
        f"nosuch has no clock {LINE}",
        "nosuch has no local test server",
        "nosuch has a trade dialect and no local feed of trades",
        "nosuch has a push dialect and no local feed",
    ]
    (undocumented,) = missing("okx", Venue(Coinbase, limits=(Limit(1, 1),), clock=Clock.EXCHANGE))
    assert undocumented.startswith("okx has other limits ")
    (unlimited,) = missing("mock", Venue(Mock, limits=(Limit(10, 1),), clock=Clock.EXCHANGE))
    assert unlimited.startswith("mock has no rate_limit in its dialect: ")
    undocumented, _ = missing("coinbase", Venue(Coinbase, limits=(), clock=Clock.EXCHANGE))
    assert undocumented.startswith("coinbase has a rate_limit in its dialect and no limits ")


def test_every_file_of_a_venue_is_registered() -> None:
    """A dialect without a line in the registry is found."""
    names = {module.name.removesuffix("_trades") for module in pkgutil.iter_modules(venues.__path__)}
    unregistered = names - set(VENUES) - NOT_DIALECTS
    assert not unregistered, f"aggregator/exchanges/registry.py has no line for {', '.join(sorted(unregistered))}."
