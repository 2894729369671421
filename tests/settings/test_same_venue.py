"""Exchanges that are one venue are refused: its two tickers would count as two sources."""

import pytest

from aggregator.exchanges.same_venue import check_venues
from aggregator.exchanges.targets import exchange_targets
from aggregator.settings.loader import SettingsError, load


@pytest.mark.parametrize(
    "text",
    [
        "binance,b=binance",
        "binance,b=binance+ws",
        "binance,b=binance+https://api.binance.com",
        "binance,b=binance+https://api1.binance.com:443/",
        "b=binance,ccxt:binance",
        "coinbase,ccxt:coinbaseexchange",
        "b=ccxt:kraken+https://api.kraken.com,kraken",
        "a=mock+http://x.test:1,b=mock+http://x.test:1/",
        "a=mock+http://x.test:1,b=mock+http://user:word@x.test:1",
        "a=mock+http://x.test,b=mock+http://X.TEST.:80",
        "a=mock+http://x.test/v,b=binance+http://x.test/v",
        "a=mock+http://x.test:1,b=mock+http://x.test:2+ws://x.test:1",
        "a=kraken+http://x.test:1+wss://ws.kraken.com,kraken",
        "a=kraken+http://x.test:1+ws,b=kraken+http://x.test:2+ws",
        "a=replay+file://x.gz,b=replay+file://./x.gz",
    ],
)
def test_one_venue_under_two_names_is_refused(text: str) -> None:
    """By its public address, through ccxt, by another name of the same address, or by its feed."""
    one, other = (target.name for target in exchange_targets(text))
    with pytest.raises(ValueError, match=f"^{one} and {other} are the same venue: name it once"):
        check_venues(exchange_targets(text))


@pytest.mark.parametrize(
    "text",
    [
        "binance,coinbase,kraken,okx,bybit,ccxt:gemini",
        "binance,b=binance+https://api.binance.us",
        "kraken+ws,okx+ws",
        "a=mock+http://127.0.0.1:1+ws,b=mock+http://127.0.0.1:2+ws",
        "a=mock+http://127.0.0.1:1,b=mock+http://localhost:1,c=mock+http://[::1]:1/",
        "a=mock+http://one.svc.cluster.local,b=mock+http://two.svc.cluster.local",
        "a=mock+http://x.test/a,b=mock+http://x.test/b",
        "a=replay+file://x.gz,b=replay+file://y.gz",
    ],
)
def test_different_venues_are_accepted(text: str) -> None:
    """Also several behind one proxy, on one machine, or in one domain."""
    check_venues(exchange_targets(text))


def test_the_start_is_refused() -> None:
    """The mistake names both, and shows no part of an address that may be secret."""
    with pytest.raises(SettingsError) as refused:
        load({"exchanges": "a=mock+http://x:hidden1@x.test:1,b=mock+http://x.test:1"})
    (mistake,) = refused.value.mistakes
    assert "a and b are the same venue" in mistake
    assert "hidden1" not in mistake
