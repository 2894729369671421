"""Symbols as clients write them: forms that are accepted, and suggestions for one that is not listed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.api.routing.responses import normal
from aggregator.prices.tiers import Catalog, assign
from tests.parts.examples import CADENCE, price
from tests.parts.price_api import PriceApi

SYMBOLS = ("btcusdt", "ethusdt", "btcusd", "btceur", "ethbtc", "bnbusdt")
FORMS = ["btcusdt", "BTCUSDT", "BTC-USDT", "btc_usdt", "BTC/USDT", "Btc-Usdt"]


def catalog(symbols: tuple[str, ...] = SYMBOLS) -> Catalog:
    """Return a catalog of these symbols, the first the hottest."""
    return assign([(symbol, "", "") for symbol in symbols], 1, 1, CADENCE)


@pytest.mark.parametrize("form", FORMS)
async def test_prices_take_every_form(form: str) -> None:
    """The response has the canonical symbol."""
    api = PriceApi([price("btcusdt")], SYMBOLS)
    for target in (f"/prices/{form}", f"/prices/{form}/sources"):
        answer = await api.get(target)
        assert (answer.status, answer.json["asset"]) == (200, "btcusdt")
    listed = (await api.get(f"/prices?assets={form},btcusdt")).json
    assert [one["asset"] for one in listed["prices"]] == ["btcusdt"]


@pytest.mark.parametrize("text", ["", "-", "btc-", "-usdt", "btc--usdt", "b-t-c", "btc.usdt", "btc usdt", "btc|usdt"])
async def test_what_is_no_symbol(text: str) -> None:
    """Only one separator, and only between two parts."""
    assert normal(text) is None


@given(st.text(max_size=40))
def test_a_normal_symbol_stays_as_it_is(text: str) -> None:
    """Whatever is given: a symbol, or nothing; a symbol is its own normal form."""
    found = normal(text)
    assert found is None or normal(found) == found


@pytest.mark.parametrize(
    ("symbol", "near"),
    [
        ("BTC", ["btcusdt", "btcusd", "btceur"]),  # by rank
        ("BTC-USDC", ["btcusdt", "btcusd"]),
        ("btcusdtt", ["btcusdt"]),
        ("et", ["ethusdt", "ethbtc"]),
        ("dogeusdt", None),
    ],
)
async def test_an_unlisted_symbol_gets_near_ones(symbol: str, near: list[str] | None) -> None:
    """In the refusal of one asset and in the `missing` of a list; without any near one, there is no field."""
    api = PriceApi([], SYMBOLS)
    refusal = (await api.get(f"/prices/{symbol}")).json
    assert (refusal["msg"], refusal["code"], refusal.get("near")) == ("Asset not found", "asset_not_found", near)
    (missing,) = (await api.get(f"/prices?assets={symbol}")).json["missing"]
    assert missing.get("near") == near


@given(st.lists(st.text("abcdef", min_size=1, max_size=8), min_size=1, max_size=80, unique=True), st.text("abcdefg"))
def test_suggestions_are_few_and_listed(symbols: list[str], text: str) -> None:
    """At most five, each once, hottest first."""
    found = catalog(tuple(symbols)).near(text)
    ranks = [symbols.index(one) for one in found]
    assert len(found) <= 5
    assert ranks == sorted(set(ranks))


async def test_a_long_list_of_unknown_symbols_gets_few_suggestions() -> None:
    """The first twenty: a search for each of a thousand would hold up other requests."""
    api = PriceApi([], SYMBOLS)
    names = [f"btc{number}" for number in range(1000)]
    missing = (await api.get(f"/prices?assets={','.join(names)}")).json["missing"]
    assert [one["asset"] for one in missing] == names
    assert [one["asset"] for one in missing if "near" in one] == names[:20]
