"""Candles and UDF bars of trades."""

import csv
import io
from collections.abc import Sequence
from decimal import Context, Decimal
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.prices.candles import CandlesRoute
from aggregator.api.reads.trade_candles import MOST_TRADES
from aggregator.api.udf.routes import UdfRoutes
from aggregator.errors import StoreUnavailable
from aggregator.models import Trade, TradeKey, trade_key
from aggregator.observability.metrics import Metrics
from aggregator.prices.candles import INTERVALS
from aggregator.stores.trades.memory import MemoryTrades
from tests.parts.asgi import get
from tests.parts.examples import NOW
from tests.parts.limits import examples
from tests.parts.memory_history import MemoryHistory
from tests.parts.trade_api import CATALOG, trade

MINUTE = int(NOW) // 60 * 60
CANDLES = "/prices/btcusdt/candles?source=trades"


def app_over(reader: Any) -> ASGIApp:
    """Return the routes at NOW. A read may take a minute: a busy machine must not cause a 503."""
    history = MemoryHistory()
    routes = CandlesRoute(CATALOG, history, lambda: NOW, 60, reader).routes()
    return build(
        [*routes, *UdfRoutes(CATALOG, history, lambda: NOW, 60, reader).routes()], Metrics(CollectorRegistry())
    )


async def over(trades: Sequence[Trade]) -> ASGIApp:
    """Return the routes over these trades."""
    store = MemoryTrades(1e12, lambda: NOW)
    await store.add(trades)
    return app_over(store)


async def rows_of(app: ASGIApp, target: str) -> list[dict[str, Any]]:
    """GET candles; return them."""
    answer = await get(app, target)
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.json["candles"]
    return found


def naive(trades: Sequence[Trade], seconds: int) -> list[list[Any]]:
    """Compute the candles of trades from all of them at once."""
    found = []
    for start, group in groupby(sorted(trades, key=trade_key), key=lambda one: one.timestamp // seconds * seconds):
        some = list(group)
        prices = [one.price for one in some]
        known = [(one.price, one.volume) for one in some if one.volume is not None]
        volume = sum((volume for _, volume in known), Decimal(0)) if known else None
        turnover = sum((price * volume for price, volume in known), Decimal(0))
        vwap = Context(prec=10).divide(turnover, volume) if volume else None
        found.append([start, prices[0], max(prices), min(prices), prices[-1], len(some), volume, vwap])
    return found


def cells(row: dict[str, Any]) -> list[Any]:
    """Return the numbers of a candle."""
    return [row[name] for name in ("start", "open", "high", "low", "close", "count", "volume", "vwap")]


amounts = st.decimals(Decimal("0.01"), 1000, places=2)
drawn = st.lists(
    st.tuples(st.integers(-20_000, 0), amounts, st.one_of(st.none(), st.just(Decimal(0)), amounts)), max_size=80
)


@settings(deadline=None, max_examples=examples(100))
@given(drawn, st.sampled_from(sorted(INTERVALS)), st.integers(0, 20_000))
async def test_candles_of_trades_agree_with_a_naive_computation(
    some: list[tuple[int, Decimal, Decimal | None]], interval: str, since: int
) -> None:
    """In JSON and in the bars of UDF; volumes that are not known have no part in volume and VWAP."""
    trades = [
        Trade("btcusdt", price, volume, NOW + at / 2, "venue", str(number))
        for number, (at, price, volume) in enumerate(some)
    ]
    app = await over(trades)
    seconds, start = INTERVALS[interval], NOW - since / 2
    rows = await rows_of(app, f"{CANDLES}&interval={interval}&start={start!r}")
    assert [cells(row) for row in rows] == naive([one for one in trades if one.timestamp >= start], seconds)

    resolution = {"1h": "60", "4h": "240", "1d": "1D"}.get(interval, interval[:-1])
    target = f"/udf/history?symbol=TRADES:btcusdt&resolution={resolution}"
    found = (await get(app, f"{target}&from={int(start)}")).json
    first = -(-int(start) // seconds) * seconds
    expected = naive([one for one in trades if one.timestamp >= first], seconds)
    assert columns(found) == without_count(expected)
    newest = (await get(app, f"{target}&countback=3")).json
    assert columns(newest) == without_count(naive(trades, seconds)[-3:])


def without_count(rows: list[list[Any]]) -> list[list[Any]]:
    """Return the rows of candles without the number of trades, which UDF does not show."""
    return [[*row[:5], *row[6:]] for row in rows]


def columns(found: dict[str, Any]) -> list[list[Any]]:
    """Return UDF's columns as rows."""
    if found["s"] == "no_data":
        return []
    names = ("t", "o", "h", "l", "c", "v", "vwap")
    return [list(row) for row in zip(*(found[name] for name in names), strict=True)]


async def test_prices_are_the_default() -> None:
    """Their candles have no volume, whatever trades there are."""
    app = await over([trade(timestamp=NOW - 1)])
    assert await rows_of(app, "/prices/btcusdt/candles") == await rows_of(app, "/prices/btcusdt/candles?source=prices")
    assert await rows_of(app, "/prices/btcusdt/candles") == []
    assert len(await rows_of(app, CANDLES)) == 1


async def test_candles_as_csv() -> None:
    """With the same columns as those of prices."""
    app = await over([trade(1, "100", "10", MINUTE - 59), trade(2, "200", "20", MINUTE - 58)])
    (row,) = csv.DictReader(io.StringIO((await get(app, f"{CANDLES}&format=csv")).text))
    assert (row["open"], row["close"], row["count"], row["volume"], row["vwap"]) == (
        "100",
        "200",
        "2",
        "30",
        "166.6666667",
    )


async def test_decimals_as_strings() -> None:
    """With numbers=string, volume and VWAP are strings too."""
    app = await over([trade(1, "100.5", "0.25", NOW - 1)])
    (row,) = await rows_of(app, f"{CANDLES}&numbers=string")
    assert (row["open"], row["volume"], row["vwap"], row["count"]) == ("100.5", "0.25", "100.5", 1)


class Endless:
    """A store with ten trades a second, for ever."""

    def __init__(self) -> None:
        self.read = 0

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """Return the trades before `after`; one of the range does not matter."""
        assert newest_first
        self.read += limit
        last = end if after is None else after.timestamp
        times = [last - (number + 1) / 10 for number in range(limit)]
        return [Trade(asset, Decimal(1), Decimal(1), at, "venue", "id") for at in times if at >= start]


async def test_a_request_reads_a_bounded_number_of_trades() -> None:
    """A range with more of them is refused; without a start, the candles are those that are complete."""
    store = Endless()
    app = app_over(store)
    answer = await get(app, f"{CANDLES}&start={NOW - MOST_TRADES / 10 - 60}&end={NOW}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter")
    assert answer.json["msg"] == "start must be later: the range has more than 100000 trades of btcusdt"
    assert store.read <= MOST_TRADES + 1
    answer = await get(app, f"/udf/history?symbol=TRADES:btcusdt&resolution=60&from={NOW - 86_400:.0f}&to={NOW:.0f}")
    assert answer.json["errmsg"] == "from must be later: the range has more than 100000 trades of btcusdt"

    store.read = 0
    rows = await rows_of(app, CANDLES)
    assert [row["count"] for row in rows[:-1]] == [600] * (len(rows) - 1)
    assert 160 <= len(rows) <= 167  # 100,000 trades are 166.7 minutes
    assert store.read <= MOST_TRADES + 1
    answer = await get(app, f"{CANDLES}&interval=1d")
    assert answer.json["msg"] == "one interval has more than 100000 trades of btcusdt: choose a shorter one"

    store.read = 0
    found = (await get(app, "/udf/history?symbol=TRADES:btcusdt&resolution=1&countback=5")).json
    assert (len(found["t"]), found["v"][:4]) == (5, [600] * 4)
    assert store.read <= 5000


async def test_a_range_that_ends_before_it_starts_reads_nothing() -> None:
    """As one that begins in the future."""
    store = Endless()
    app = app_over(store)
    assert await rows_of(app, f"{CANDLES}&start=2100-01-01") == []
    assert (await get(app, "/udf/history?symbol=TRADES:btcusdt&resolution=1&countback=5&to=-50")).json["s"] == "no_data"
    assert store.read == 0


async def test_no_bar_in_the_range() -> None:
    """The answer names the beginning of the next older one."""
    app = await over([trade(timestamp=MINUTE - 3600 + 5)])
    target = f"/udf/history?symbol=TRADES:btcusdt&resolution=1&from={MINUTE - 600}&to={MINUTE}"
    assert (await get(app, target)).json == {"s": "no_data", "nextTime": MINUTE - 3600}
    assert (await get(app, target.replace("btcusdt", "ethusdt"))).json == {"s": "no_data"}


async def test_a_symbol_of_trades() -> None:
    """It has volumes; the chart asks for its bars by the ticker, and finds it under its exchange."""
    app = await over([trade(price="0.0001")])
    found = (await get(app, "/udf/symbols?symbol=TRADES:BTC-USDT")).json
    assert (found["name"], found["ticker"], found["exchange"]) == ("BTCUSDT", "TRADES:btcusdt", "TRADES")
    assert (found["visible_plots_set"], found["pricescale"]) == ("ohlcv", 10**13)
    (listed,) = (await get(app, "/udf/search?query=TRADES:btc&exchange=TRADES")).json
    assert listed["ticker"] == found["ticker"]
    (priced,) = (await get(app, "/udf/search?query=btc")).json
    assert priced["ticker"] == "btcusdt"


async def test_a_service_without_trades() -> None:
    """Has no such symbols and no such source."""
    app = app_over(None)
    answer = await get(app, CANDLES)
    assert (answer.status, answer.json["msg"]) == (400, "source must be one of prices")
    answer = await get(app, "/udf/symbols?symbol=TRADES:btcusdt")
    assert (answer.status, answer.json["code"]) == (400, "invalid_symbol")


class Failing:
    """A store that is away."""

    async def trades(self, *_: object, **__: object) -> list[Trade]:
        """Fail."""
        raise StoreUnavailable("away")


@pytest.mark.parametrize("target", [CANDLES, "/udf/history?symbol=TRADES:btcusdt&resolution=1&countback=5"])
async def test_a_store_that_is_away(target: str) -> None:
    """503 with Retry-After."""
    answer = await get(app_over(Failing()), target)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "trades_unavailable", "1")
