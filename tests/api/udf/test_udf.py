"""TradingView's UDF: the documented requests and their answers, the same from SQLite and DynamoDB."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.types import ASGIApp

from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Origins, Policy
from aggregator.api.app import build
from aggregator.api.udf.routes import UdfRoutes
from aggregator.errors import StoreUnavailable
from aggregator.models import Price, Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import History
from aggregator.prices.tiers import assign
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.asgi import get
from tests.parts.examples import CADENCE, NOW, price

ROWS = [("btcusdt", "btc", "usdt"), ("ethusdt", "eth", "usdt"), ("btcusd", "btc", "usd"), ("pepeusdt", "pepe", "usdt")]
CATALOG = assign([*ROWS, ("plain", "", ""), ("wbtcusdt", "wbtc", "usdt")], 2, 2, CADENCE)
MINUTE = int(NOW) // 60 * 60
# A price every ten seconds in the last ten minutes, and one a day before.
PRICES = [price("btcusdt", MINUTE - 86_400 + 5.0, "90")]
PRICES += [price("btcusdt", MINUTE - 600 + number * 10 + 0.5, str(100 + number % 7)) for number in range(60)]
PRICES += [price("pepeusdt", MINUTE - 5.0, "0.00001234567891"), price("ethusdt", MINUTE - 5.0, "3000")]


def app_over(history: History) -> ASGIApp:
    """Return the routes over a history. A read may take a minute, as a busy machine may need it."""
    return build(UdfRoutes(CATALOG, history, lambda: NOW, 60).routes(), Metrics(CollectorRegistry()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ASGIApp]:
    """Open the routes over SQLite with PRICES."""
    history = SqliteHistory(tmp_path_factory.mktemp("udf") / "prices.db", None, lambda: NOW)
    await history.open()
    await history.write(PRICES)
    yield app_over(history)
    await history.close()


def bar(start: int) -> tuple[float, float, float, float]:
    """Return open, high, low and close of the bar of PRICES that begins then, computed in the plainest way."""
    found = [float(one.price) for one in PRICES if one.asset == "btcusdt" and start <= one.timestamp < start + 60]
    return found[0], max(found), min(found), found[-1]


def bars(starts: list[int]) -> dict[str, Any]:
    """Return the answer that has the bars of PRICES that begin then."""
    columns = [list(column) for column in zip(*map(bar, starts), strict=True)]
    return {"s": "ok", "t": starts, **dict(zip("ohlc", columns, strict=True))}


ALL = [MINUTE - 600 + number * 60 for number in range(10)]
OLDER = (MINUTE - 86_400) // 60 * 60


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"from={MINUTE - 600}&to={MINUTE}", bars(ALL)),
        (f"from={MINUTE - 600}", bars(ALL)),  # until now
        (f"from={MINUTE - 180}&to={MINUTE - 60}", bars(ALL[7:9])),  # from is inclusive, to is not
        (f"from={MINUTE - 179}&to={MINUTE - 59}", bars(ALL[8:])),  # the bar is whole where the range cuts it
        (f"from={MINUTE - 600}&to={MINUTE + 10**9}", bars(ALL)),  # to may lie in the future
        (f"countback=3&to={MINUTE}", bars(ALL[7:])),
        ("countback=3", bars(ALL[7:])),
        (f"countback=3&from=0&to={MINUTE}", bars(ALL[7:])),  # countback comes before from
        (f"countback=3&from={MINUTE - 60}&to={MINUTE}", bars(ALL[7:])),
        (f"countback=3&from=9&to={MINUTE - 60}", bars(ALL[6:9])),
        (f"countback=11&to={MINUTE}", bars([OLDER, *ALL])),  # over the gap
        (f"countback=10000&from=-99999999999&to={MINUTE}", bars([OLDER, *ALL])),
        (f"from={MINUTE - 3600}&to={MINUTE - 1800}", {"s": "no_data", "nextTime": OLDER}),
        (f"from={MINUTE + 60}&to={MINUTE + 120}", {"s": "no_data", "nextTime": ALL[-1]}),
        (f"from={MINUTE - 60}&to={MINUTE - 60}", {"s": "no_data", "nextTime": ALL[-2]}),
        (f"from={OLDER - 600}&to={OLDER}", {"s": "no_data"}),  # nothing is older
        (f"countback=5&to={OLDER}", {"s": "no_data"}),
        ("from=-100&to=-50", {"s": "no_data"}),
        ("from=0&to=0", {"s": "no_data"}),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_bars_of_a_minute(app: ASGIApp, query: str, expected: dict[str, Any]) -> None:
    """Every documented way of asking for bars."""
    answer = await get(app, f"/udf/history?symbol=btcusdt&resolution=1&{query}")
    assert (answer.status, answer.json) == (200, expected)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("resolution", "seconds"),
    [("1", 60), ("5", 300), ("15", 900), ("60", 3600), ("240", 14_400), ("1D", 86_400), ("D", 86_400)],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_resolutions(app: ASGIApp, resolution: str, seconds: int) -> None:
    """Bars begin at multiples of their length, days at midnight UTC; the bars have all prices between them."""
    answer = await get(app, f"/udf/history?symbol=BTC/USDT&resolution={resolution}&countback=100")
    starts = answer.json["t"]
    assert starts == sorted({int(one.timestamp) // seconds * seconds for one in PRICES if one.asset == "btcusdt"})
    assert (max(answer.json["h"]), min(answer.json["l"])) == (106, 90)


@pytest.mark.parametrize(
    ("target", "status", "code", "errmsg"),
    [
        ("history?resolution=1&countback=1", 400, "invalid_parameter", "symbol is missing"),
        ("history?symbol=&resolution=1&countback=1", 400, "invalid_symbol", "Invalid asset symbol"),
        ("history?symbol=a.b&resolution=1&countback=1", 400, "invalid_symbol", "Invalid asset symbol"),
        ("history?symbol=NYSE:AA&resolution=1&countback=1", 400, "invalid_symbol", "Invalid asset symbol"),
        ("history?symbol=nosuch&resolution=1&countback=1", 404, "asset_not_found", "Asset not found"),
        (
            "history?symbol=btcusdt&countback=1",
            400,
            "invalid_parameter",
            "resolution must be one of 1, 5, 15, 60, 240, 1D, D",
        ),
        ("history?symbol=btcusdt&resolution=30&countback=1", 400, "invalid_parameter", "resolution must be"),
        ("history?symbol=btcusdt&resolution=1W&countback=1", 400, "invalid_parameter", "resolution must be"),
        ("history?symbol=btcusdt&resolution=1", 400, "invalid_parameter", "from or countback is missing"),
        ("history?symbol=btcusdt&resolution=1&from=2&to=1", 400, "invalid_parameter", "from must not be after to"),
        (
            "history?symbol=btcusdt&resolution=1&from=0",
            400,
            "invalid_parameter",
            "from must be at most 10000 bars",
        ),
        ("history?symbol=btcusdt&resolution=1&from=1e9", 400, "invalid_parameter", "from must be whole unix seconds"),
        ("history?symbol=btcusdt&resolution=1&from=&countback=1", 400, "invalid_parameter", "from must be whole"),
        ("history?symbol=btcusdt&resolution=1&from=1.5", 400, "invalid_parameter", "from must be whole unix seconds"),
        (f"history?symbol=btcusdt&resolution=1&from=1&to={10**12}", 400, "invalid_parameter", "to must be whole"),
        (f"history?symbol=btcusdt&resolution=1&from=1&to={'9' * 400}", 400, "invalid_parameter", "to must be whole"),
        ("history?symbol=btcusdt&resolution=1&countback=0", 400, "invalid_parameter", "countback must be a whole"),
        ("history?symbol=btcusdt&resolution=1&countback=10001", 400, "invalid_parameter", "countback must be a whole"),
        ("history?symbol=btcusdt&resolution=1&countback=-1", 400, "invalid_parameter", "countback must be a whole"),
        ("symbols", 400, "invalid_parameter", "symbol is missing"),
        ("symbols?symbol=nosuch", 404, "asset_not_found", "Asset not found"),
        ("symbols?symbol=AGGREGATE:", 400, "invalid_symbol", "Invalid asset symbol"),
        ("search?query=btc&limit=0", 400, "invalid_parameter", "limit must be a whole number from 1 to 100"),
        (f"search?query={'a' * 65}", 400, "invalid_parameter", "query must have at most 64 characters"),
        (f"search?query=a&type={'a' * 65}", 400, "invalid_parameter", "type must have at most 64 characters"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_refusal_is_one_for_every_client(
    app: ASGIApp, target: str, status: int, code: str, errmsg: str
) -> None:
    """The status and body of every other route, and in the same body UDF's own fields."""
    answer = await get(app, f"/udf/{target}")
    assert (answer.status, answer.json["code"], answer.json["s"]) == (status, code, "error")
    assert answer.json["errmsg"] == answer.json["msg"]
    assert errmsg in answer.json["errmsg"]


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_symbol_gets_suggestions(app: ASGIApp) -> None:
    """As on the other routes."""
    answer = await get(app, "/udf/symbols?symbol=btceur")
    assert answer.json["near"] == ["btcusdt", "btcusd"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_configuration(app: ASGIApp) -> None:
    """Search and single symbols, no groups and no marks; the resolutions are those of the candles."""
    found = (await get(app, "/udf/config")).json
    assert found["supported_resolutions"] == ["1", "5", "15", "60", "240", "1D"]
    flags = ("search", "group_request", "marks", "timescale_marks", "time")
    assert [found[f"supports_{flag}"] for flag in flags] == [True, False, False, False, True]
    assert [one["value"] for one in found["exchanges"]] == ["", "AGGREGATE", "TRADES"]
    assert [one["value"] for one in found["symbols_types"]] == ["", "crypto"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_time(app: ASGIApp) -> None:
    """Unix seconds as text, without a fraction."""
    answer = await get(app, "/udf/time")
    assert (answer.text, answer.headers["content-type"]) == (str(int(NOW)), "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "name", ["btcusdt", "BTCUSDT", "BTC-USDT", "btc/usdt", "AGGREGATE:BTCUSDT", "AGGREGATE:BTC_USDT"]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_symbol(app: ASGIApp, name: str) -> None:
    """By each of its names. The chart asks for bars by `ticker`, the symbol of the other routes."""
    found = (await get(app, f"/udf/symbols?symbol={name}")).json
    assert (found["name"], found["ticker"], found["description"]) == ("BTCUSDT", "btcusdt", "BTC/USDT")
    assert (found["session"], found["timezone"], found["currency_code"]) == ("24x7", "Etc/UTC", "USDT")
    assert (found["has_intraday"], found["intraday_multipliers"]) == (True, ["1", "5", "15", "60", "240"])
    assert (found["has_daily"], found["has_seconds"], found["visible_plots_set"]) == (True, False, "ohlc")


@pytest.mark.parametrize(
    ("symbol", "decimals"), [("btcusdt", 7), ("ethusdt", 6), ("pepeusdt", 14), ("plain", 8), ("wbtcusdt", 8)]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_scale_fits_the_price(app: ASGIApp, symbol: str, decimals: int) -> None:
    """Ten significant digits of the newest price, also of a tiny one; eight decimals without a price."""
    found = (await get(app, f"/udf/symbols?symbol={symbol}")).json
    assert (found["minmov"], found["pricescale"]) == (1, 10**decimals)


@pytest.mark.parametrize(
    ("query", "tickers"),
    [
        ("query=btc", ["btcusdt", "btcusd", "wbtcusdt"]),  # those that begin with it, by rank; then the others
        ("query=BTC/USD", ["btcusdt", "btcusd", "wbtcusdt"]),
        ("query=btc%20usdt", ["btcusdt", "wbtcusdt"]),
        ("query=AGGREGATE:BTC", ["btcusdt", "btcusd", "wbtcusdt"]),
        ("query=btc&type=crypto&exchange=AGGREGATE&limit=1", ["btcusdt"]),
        ("query=btc&type=stock&exchange=&limit=30", []),
        ("query=btc&type=&exchange=NYSE", []),
        ("query=nosuch", []),
        ("query=%00%FF%F0%9F%92%A9", []),
        ("query=&limit=2", ["btcusdt", "ethusdt"]),
        ("", ["btcusdt", "ethusdt", "btcusd", "pepeusdt", "plain", "wbtcusdt"]),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_search(app: ASGIApp, query: str, tickers: list[str]) -> None:
    """The documented parameters. An unknown type or exchange finds nothing."""
    found = (await get(app, f"/udf/search?{query}")).json
    assert [one["ticker"] for one in found] == tickers
    if found and tickers[0] == "btcusdt":
        assert found[0] == {
            "symbol": "BTCUSDT",
            "full_name": "AGGREGATE:BTCUSDT",
            "description": "BTC/USDT",
            "exchange": "AGGREGATE",
            "ticker": "btcusdt",
            "type": "crypto",
        }


@pytest.mark.parametrize("target", ["symbols?symbol=btcusdt", "history?symbol=btcusdt&resolution=1&countback=5"])
async def test_a_history_that_is_away_is_503(target: str) -> None:
    """With Retry-After, in the form of UDF."""

    class Away:
        async def between(self, *_: object, **__: object) -> list[Price]:
            raise StoreUnavailable("away")

    away: Any = Away()  # the routes use no other method
    answer = await get(app_over(away), f"/udf/{target}")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json == {
        "msg": "History cannot be read now",
        "code": "history_unavailable",
        "s": "error",
        "errmsg": "History cannot be read now",
    }


async def test_keys_and_origins_are_those_of_every_read() -> None:
    """With READ_KEYS a key is needed; a page of an allowed origin may read."""
    policy = Policy(origins=Origins(["https://charts.example"]), keys=Keys([], [SecretStr("reader")]))
    none: Any = None  # the routes do not read the history here
    app = build(UdfRoutes(CATALOG, none, lambda: NOW).routes(), Metrics(CollectorRegistry()), policy=policy)
    for path in ("config", "time", "symbols", "search", "history"):
        assert (await get(app, f"/udf/{path}")).status == 401
    found = await get(app, "/udf/config", {"X-API-Key": "reader", "Origin": "https://charts.example"})
    assert (found.status, found.headers["access-control-allow-origin"]) == (200, "https://charts.example")


async def test_every_digit_of_a_tiny_price_arrives(tmp_path: Path) -> None:
    """Ten significant digits, however small or large the price."""
    history = SqliteHistory(tmp_path / "prices.db", None, lambda: NOW)
    await history.open()
    amounts = ["0.00001234567891", "1.234567891E-12", "1234567891", "0.1", "77896.49245"]
    stored = [price("btcusdt", MINUTE - 60.0 * number, one, Tier.HOT) for number, one in enumerate(amounts)]
    await history.write(stored)
    found = (await get(app_over(history), "/udf/history?symbol=btcusdt&resolution=1&countback=9")).json
    assert [Decimal(one) for one in found["c"]] == [Decimal(one) for one in reversed(amounts)]
    await history.close()
