"""Which assets an article is about."""

import csv

import msgspec
import pytest

from aggregator.news.articles import Article
from aggregator.news.mentions import MOST_ASSETS, Mentions, read_names
from aggregator.prices.tiers import assign
from tests.parts.examples import CADENCE, NOW
from tests.parts.process import ROOT

LISTED = [tuple(line.split(",")) for line in (ROOT / "symbols.csv").read_text(encoding="utf-8").split()[1:]]
NAMES = read_names()
MENTIONS = Mentions(assign([(row[0], row[1], row[2]) for row in LISTED], 20, 180, CADENCE), NAMES)
USDT = {f"{row[1]}usdt" for row in LISTED} & {row[0] for row in LISTED}


def article(headline: str, *symbols: str, summary: str = "") -> Article:
    """Return an article."""
    return Article("mock:1", headline, summary, "Wire", "", NOW, symbols)


def bases(headline: str, *symbols: str) -> set[str]:
    """Return the bases of the assets against USDT that a headline is about."""
    return {one.removesuffix("usdt") for one in MENTIONS.assets(article(headline, *symbols)) if one in USDT}


def test_there_are_names_of_300_assets() -> None:
    """Each row has a symbol and a name, and nearly all are listed here."""
    with (ROOT / "aggregator/news/names.csv").open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert len({row["symbol"] for row in rows}) == len(rows) >= 300
    assert all(row["names"].strip() == row["names"] != "" and row["alone"] in ("yes", "no") for row in rows)
    assert len(NAMES.symbols & {row[1] for row in LISTED}) >= 300


@pytest.mark.parametrize(
    ("headline", "expected"),
    [
        ("Bitcoin falls below $60,000", {"btc"}),
        ("BITCOIN FALLS", {"btc"}),
        ("Bitcoin's miners and ether-based funds", {"btc", "eth"}),
        ("BTC, ETH/USDT and (SOL) rise; #XRP too", {"btc", "eth", "sol", "xrp"}),
        ("Bitcoin Cash and Ethereum Classic", {"bch", "etc"}),
        ("Wrapped Bitcoin", {"wbtc"}),
        ("$link $NEAR $gas $one", {"link", "near", "gas", "one"}),
        ("LINK, NEAR, GAS, ONE, ACT, OP and PEOPLE are words", set()),
        ("Click the link near the one gas station and act", set()),
        ("Chainlink and NEAR Protocol", {"link", "near"}),
        ("Dogecoin up as DOGE, the department, cuts", {"doge"}),
        ("An avalanche of orders", set()),
        ("Avalanche upgrades its network", {"avax"}),
        ("bitcoiners, ethereal, resolute, TONs, btc", set()),
        ("Ether.fi adds vaults", {"ethfi"}),
        ("The price of $100 and $ 5", set()),
        ("Nothing of interest", set()),
    ],
)
def test_names_and_tickers_are_whole_words(headline: str, expected: set[str]) -> None:
    """Longer names win, and ambiguous tickers need a `$`."""
    assert bases(headline) == expected


def test_symbols_of_the_source() -> None:
    """A base stands for all of its pairs, a pair for itself; unknown ones are ignored."""
    assert {"btcusdt", "btcusdc", "ethbtc"} & {*MENTIONS.assets(article("x", "BTC"))} == {"btcusdt", "btcusdc"}
    assert MENTIONS.assets(article("x", "BINANCE:BTC-USDT", "nosuch", "", "\ud800")) == ("btcusdt",)


def test_the_summary_counts_and_the_number_is_bounded() -> None:
    """An article about everything is about at most MOST_ASSETS."""
    assert "btcusdt" in MENTIONS.assets(article("x", summary="It was Bitcoin."))
    everything = article("x", *(row[1] for row in LISTED))
    assert len(MENTIONS.assets(msgspec.structs.replace(everything, summary="Bitcoin"))) == MOST_ASSETS
