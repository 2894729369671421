"""Compare our prices with the exchanges' own, over the internet: `./test.sh live-exchanges [binance,ccxt:gemini]`.

A plain run does not collect this file: it calls real exchanges. The reference is each venue's last trade, which this
file reads from another endpoint than our venues use.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.targets import exchange_targets
from tests.parts.process import wait_for
from tests.parts.service import Service

SYMBOLS = "symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\nbtcusd,btc,usd\nethusd,eth,usd\nsolusdt,sol,usdt\n"
_BINANCE = "https://api.binance.com"
_COINBASE = "https://api.exchange.coinbase.com"
_OKX = "https://www.okx.com/api/v5"
_BYBIT = "https://api.bybit.com/v5/market/recent-trade?category=spot"
TOLERANCE = Decimal("0.005")  # share of the price that a market may move between two calls a second apart


def _get(url: str) -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "price-aggregator"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response, parse_float=Decimal)


def _kraken(pair: str) -> str:
    theirs = pair.replace("BTC", "XBT")
    result = _get(f"https://api.kraken.com/0/public/Trades?pair={theirs}&count=1")["result"]
    (trades,) = (found for key, found in result.items() if key != "last")
    return str(trades[-1][0])


# By exchange: the venue's name of a pair, and how to read the last trade's price.
LAST: dict[str, tuple[str, Callable[[str], str]]] = {
    "binance": ("{base}{quote}", lambda pair: _get(f"{_BINANCE}/api/v3/trades?symbol={pair}&limit=1")[0]["price"]),
    "coinbase": ("{base}-{quote}", lambda pair: _get(f"{_COINBASE}/products/{pair}/trades?limit=1")[0]["price"]),
    "kraken": ("{base}{quote}", _kraken),
    "okx": ("{base}-{quote}", lambda pair: _get(f"{_OKX}/market/trades?instId={pair}&limit=1")["data"][0]["px"]),
    "bybit": ("{base}{quote}", lambda pair: _get(f"{_BYBIT}&symbol={pair}&limit=1")["result"]["list"][0]["price"]),
}


def last(name: str, base: str, quote: str) -> Decimal:
    """Return the price of a venue's last trade."""
    spelling, price = LAST[name]
    return Decimal(price(spelling.format(base=base.upper(), quote=quote.upper())))


def _away(names: str) -> list[str]:
    """Return why each unreachable exchange cannot be reached; an exchange that responds at all is reachable."""
    found = []
    for target in exchange_targets(names):
        if target.dialect in DIALECTS:
            url = target.url or DIALECTS[target.dialect]().public_url
            try:
                urllib.request.urlopen(url, timeout=10).close()
            except urllib.error.HTTPError as answer:
                answer.close()
            except OSError as error:
                found.append(f"{target.name} ({url}): {error}")
    return found


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service on the named exchanges."""
    folder: Path = tmp_path_factory.mktemp("live")
    symbols = folder / "symbols.csv"
    symbols.write_text(SYMBOLS)
    names = str(request.config.getoption("--exchanges") or ",".join(LAST))
    try:
        away = _away(names)
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
    if away:
        pytest.fail("this needs the internet; not reached: " + "; ".join(away), pytrace=False)
    # Each venue is compared by itself, also on pairs that no other venue lists.
    settings = {"exchange_timeout": 5, "grace": 3, "min_sources": 1}
    service = Service(folder, symbols_file=symbols, exchanges=names, **settings).started()
    yield service
    service.process.stop()


def _pairs(service: Service) -> list[tuple[str, str]]:
    listed = {one["symbol"] for one in service.get("/assets").json["assets"] if one["venues"]}
    rows = [line.split(",") for line in SYMBOLS.splitlines()[1:]]
    return [(base, quote) for symbol, base, quote in rows if symbol in listed]


def test_each_exchange_tells_what_it_trades_and_answers(service: Service) -> None:
    """Every named exchange has given a ticker, and its breaker is closed."""

    def answered() -> bool:
        exchanges = service.get("/ready").json["exchanges"].values()
        return all(one["last_ticker_seconds_ago"] is not None and one["breaker"] == "closed" for one in exchanges)

    wait_for(answered, 60, f"a ticker from each exchange; the log says: {service.process.output}")
    assert "listing_unread" not in service.process.output


def test_our_price_is_that_of_each_venue(service: Service) -> None:
    """Each venue's price in /sources is within half a percent of that venue's own last trade."""
    compared = []
    for base, quote in _pairs(service):
        assert service.post(f"/refresh/{base}{quote}").status == 200
        for source in service.get(f"/prices/{base}{quote}/sources").json["sources"]:
            name = source["exchange"]
            if name in LAST:
                theirs, ours = last(name, base, quote), Decimal(source["price"])
                compared.append((name, base + quote, ours, theirs))
                assert abs(ours - theirs) <= TOLERANCE * theirs, compared[-1]
    assert compared, "no venue that this file knows had a part in a price"
