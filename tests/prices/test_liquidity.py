"""The ranking of pairs by turnover in US dollars, by the exchanges' own prices."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aggregator.prices.liquidity import Listed, dollar_values, rank

ASSETS = ["usd", "usdt", "usdc", "eur", "btc", "eth", "shib"]


def listed(exchange: str, pair: str, volume: object = 1, price: object = 1) -> Listed:
    """Return a listing; `pair` is base/quote."""
    base, _, quote = pair.partition("/")
    amounts = [None if one is None else Decimal(str(one)) for one in (volume, price)]
    return Listed(exchange, base, quote, *amounts)


def symbols(found: list[Listed], least: int = 1) -> list[str]:
    """Return the symbols in ranked order."""
    return [one.symbol for one in rank(found, least)]


def test_pairs_are_ranked_by_turnover_not_volume() -> None:
    """Pairs are ranked by turnover: a billion of a cheap coin is less than one bitcoin."""
    assert symbols([listed("a", "shib/usd", 1e9, 0.00001), listed("a", "btc/usd", 1, 80_000)]) == ["btcusd", "shibusd"]


def test_quotes_are_made_comparable() -> None:
    """Quotes are valued in dollars over several pairs: ETH/BTC by BTC/USD, BTC/JPY by the value of a yen."""
    market = [
        listed("a", "btc/usd", 1, 80_000),
        listed("a", "eth/btc", 100, 0.04),  # 320,000
        listed("a", "btc/jpy", 2, 12_000_000),  # 160,000, although there are 24 million of them
        listed("a", "usdt/usd", 10, 0.999),
        listed("a", "sol/usdt", 1000, 150),  # 149,850
    ]
    assert [(one.symbol, round(one.turnover)) for one in rank(market, 1)] == [
        ("ethbtc", 320_000),
        ("btcjpy", 160_000),
        ("solusdt", 149_850),
        ("btcusd", 80_000),
        ("usdtusd", 10),
    ]


def test_without_a_dollar_a_stablecoin_is_taken_for_one() -> None:
    """Without a pair in dollars, a stablecoin counts as one dollar; the ranking is the same."""
    market = [listed("a", "btc/usdt", 1, 80_000), listed("a", "eth/btc", 1, 0.04), listed("a", "eth/usdc", 2, 3_200)]
    assert symbols(market) == ["btcusdt", "ethusdc", "ethbtc"]
    assert dollar_values(market)["usdt"] == 1


def test_a_stablecoin_is_valued_at_its_price() -> None:
    """A stablecoin that has lost its peg is valued at its price."""
    market = [listed("a", "usdt/usd", 5, "0.5"), listed("a", "btc/usdt", 1, 160_000), listed("a", "btc/usd", 1, 80_000)]
    assert dollar_values(market)["usdt"] == Decimal("0.5")
    assert {one.symbol: one.turnover for one in rank(market, 1)}["btcusdt"] == 80_000


def test_a_volume_without_a_price_is_valued_by_the_base() -> None:
    """A volume without a price, as in Coinbase's summary, is valued by the base asset."""
    market = [listed("a", "btc/usd", 1, 80_000), listed("b", "btc/usd", 3, None), listed("b", "x/usd", 9, None)]
    assert [(one.symbol, one.exchanges, int(one.turnover)) for one in rank(market, 1)] == [
        ("btcusd", 2, 320_000),
        ("xusd", 1, 0),
    ]


def test_at_least_so_many_exchanges() -> None:
    """Pairs need `least` exchanges; one that means another asset by the same name does not count."""
    market = [
        listed("a", "btc/usd", 1, 80_000),
        listed("b", "btc/usd", 1, 80_100),
        listed("a", "cat/usd", 1, 0.00001),
        listed("b", "cat/usd", 1, 7),
        listed("a", "eth/usd", 1, 3_000),
    ]
    assert symbols(market, 2) == ["btcusd"]
    assert symbols(market, 3) == []


def test_usd_and_usdt_are_two_quotes() -> None:
    """BTC/USD and BTC/USDT are different pairs, each traded by one exchange here."""
    assert symbols([listed("a", "btc/usd", 1, 80_000), listed("b", "btc/usdt", 1, 80_000)], 2) == []


def test_of_two_pairs_with_one_symbol_the_larger_counts() -> None:
    """Of two pairs with the same symbol, the one with the larger turnover is returned."""
    market = [listed("a", "a/bcusd", 1, 1), listed("a", "abc/usd", 100, 5), listed("a", "ab/cusd", 1, 1)]
    assert [(one.symbol, one.base) for one in rank(market, 1)] == [("abcusd", "abc")]


@given(
    st.lists(
        st.builds(
            Listed,
            exchange=st.sampled_from(["a", "b", "c"]),
            base=st.sampled_from([*ASSETS, "", "A-B", "\u0430"]),
            quote=st.sampled_from(ASSETS),
            volume=st.none() | st.decimals(),
            price=st.none() | st.decimals(),
        )
    ),
    st.integers(1, 3),
)
def test_any_listing_can_be_ranked(market: list[Listed], least: int) -> None:
    """Any listing gives a ranking: no crash on bad numbers, no duplicate symbol, falling turnovers."""
    found = rank(market, least)
    assert len({one.symbol for one in found}) == len(found)
    assert all(one.exchanges >= least and one.turnover >= 0 for one in found)
    turnovers = [one.turnover for one in found]
    assert turnovers == sorted(turnovers, reverse=True)
