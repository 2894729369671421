"""Without Kraken's listing, the pairs asked for are found by Kraken's own keys in the answer."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.exchanges.dialect import Answer, Market
from aggregator.exchanges.venues.kraken import Kraken
from aggregator.models import Asset, Ticker, Tier

KEYS = {  # as its listing has them, of every form
    ("btc", "usd"): "XXBTZUSD",
    ("eth", "btc"): "XETHXXBT",
    ("usdt", "usd"): "USDTZUSD",
    ("btc", "usdq"): "XXBTUSDQ",
    ("btc", "usdt"): "XBTUSDT",
    ("doge", "usd"): "XDGUSD",
    ("doge", "btc"): "XXDGXXBT",
    ("xlm", "eur"): "XXLMZEUR",
    ("xrp", "usdt"): "XRPUSDT",
    ("zec", "usd"): "XZECZUSD",
    ("eur", "usd"): "ZEURZUSD",
    ("usdc", "gbp"): "USDCGBP",
    ("sol", "usd"): "SOLUSD",
    ("xtz", "btc"): "XTZXBT",
    ("zrx", "usd"): "ZRXUSD",
    ("ada", "eth"): "ADAETH",
    ("eth", "dai"): "ETHDAI",
    ("1inch", "usd"): "1INCHUSD",
}
PAIRS = sorted(KEYS)


def asked(pairs: Sequence[tuple[str, str]], *, bare: bool = False) -> list[Market]:
    """Return the markets of these pairs without a listing; without base and quote if `bare`."""
    assets = [Asset(base + quote, "" if bare else base, "" if bare else quote, Tier.HOT, 1) for base, quote in pairs]
    return [Market(asset.symbol, Kraken().name(asset)) for asset in assets]


def answer(pairs: Sequence[tuple[str, str]]) -> Answer:
    """Return Kraken's answer; each price is the pair's number."""
    result = {KEYS[pair]: {"c": [str(PAIRS.index(pair) + 1), "1"], "v": ["1", "1"]} for pair in pairs}
    return Answer(msgspec.json.encode({"error": [], "result": result}))


def prices(markets: Sequence[Market], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the prices in the answer, by symbol."""
    found = Kraken().parse("kraken", markets, answer(pairs))
    return {symbol: int(one.price) for symbol, one in found.items() if isinstance(one, Ticker)}


@given(st.lists(st.sampled_from(PAIRS), unique=True, min_size=1), st.booleans())
def test_every_form_of_a_key_finds_its_pair(pairs: list[tuple[str, str]], bare: bool) -> None:  # noqa: FBT001  # drawn
    """A key may have a prefix before either half, before both, or none."""
    expected = {base + quote: PAIRS.index((base, quote)) + 1 for base, quote in pairs}
    assert prices(asked(pairs, bare=bare), pairs) == expected


@given(st.lists(st.sampled_from(PAIRS), unique=True, min_size=2))
def test_after_the_listing_the_key_is_the_name(pairs: list[tuple[str, str]]) -> None:
    """With a listing, the key is the name of the market."""
    markets = [Market(base + quote, KEYS[base, quote]) for base, quote in pairs]
    assert prices(markets, pairs) == {base + quote: PAIRS.index((base, quote)) + 1 for base, quote in pairs}


@pytest.mark.parametrize("bare", [False, True])
def test_a_key_that_fits_no_pair_or_several_is_left(bare: bool) -> None:  # noqa: FBT001  # a parameter
    """Such a key gives no ticker: a wrong price would be worse."""
    markets = asked([("btc", "usd"), ("sol", "usd")], bare=bare)
    body = b'{"error":[],"result":{"XETHZUSD":{"c":["1","1"],"v":["1","1"]},"Z":{"c":["1","1"],"v":["1","1"]}}}'
    assert Kraken().parse("kraken", markets, Answer(body)) == {}
    several = [Market("a", "XABCUSD"), Market("b", "ABCZUSD")]
    body = b'{"error":[],"result":{"XABCZUSD":{"c":["1","1"],"v":["1","1"]}}}'
    assert Kraken().parse("kraken", several, Answer(body)) == {}
