"""GET /trades/{asset}, /query and /quotes/{asset}."""

import csv
import io
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.api.reads.trade_reader import CURSORS, TradeRange
from aggregator.errors import StoreUnavailable
from aggregator.models import Trade, TradeKey, trade_key
from tests.parts.asgi import get
from tests.parts.examples import NOW
from tests.parts.trade_api import TradeApi, ids, sold, trade

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128)
drawn = st.lists(
    st.builds(
        lambda at, venue, number: Trade("btcusdt", Decimal(1), Decimal(1), NOW + at / 4, venue, number),
        st.integers(0, 12),
        st.sampled_from(["", "a", "b"]),
        names,
    ),
    max_size=30,
)


@settings(deadline=None)
@given(drawn, st.integers(1, 7), st.sampled_from(["asc", "desc"]), st.tuples(st.integers(0, 12), st.integers(0, 12)))
async def test_pages_have_each_trade_of_the_range_once(
    trades: list[Trade], limit: int, order: str, cut: tuple[int, int]
) -> None:
    """In the order of time, venue and id; also where several trades have the same time, and ids are any text."""
    api = TradeApi()
    kept = await api.store.add(trades)
    start, end = sorted(NOW + one / 4 for one in cut)
    inside = sorted((one for one in kept if start <= one.timestamp <= end), key=trade_key, reverse=order == "desc")
    rows = await api.pages(f"/trades/btcusdt?start={start!r}&end={end!r}&limit={limit}&order={order}")
    assert [(row["timestamp"], row["venue"], row["id"]) for row in rows] == [trade_key(one) for one in inside]


async def test_a_row_has_every_field() -> None:
    """The time both ways, every digit, and null for what the venue does not say."""
    api = TradeApi()
    await api.store.add([sold(trade(1, "0.00000012345678901234", "3.5", 1696118400.123456), 77), trade(2, volume=None)])
    newest, oldest = (await api.get("/trades/BTC-USDT"))["trades"]
    assert oldest == {
        "asset": "btcusdt",
        "timestamp": Decimal("1696118400.123456"),
        "time": "2023-10-01T00:00:00.123456Z",
        "price": Decimal("0.00000012345678901234"),
        "volume": Decimal("3.5"),
        "venue": "venue",
        "id": "1",
        "side": "sell",
        "sequence_number": 77,
    }
    assert [newest[name] for name in ("volume", "side", "sequence_number")] == [None, None, None]
    (found,) = (await api.get("/trades/btcusdt?end=2023-10-02&numbers=string"))["trades"]
    assert (found["price"], found["volume"]) == ("1.2345678901234E-7", "3.5")


async def test_trades_as_csv() -> None:
    """With the rows of the JSON, and the next page in the Link header."""
    api = TradeApi()
    await api.store.add([trade(number, timestamp=NOW + number) for number in range(3)])
    answer = await get(api.app, "/trades/btcusdt?limit=2&format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert ids(rows) == ["2", "1"]
    assert rows[0]["side"] == ""
    following = answer.headers["link"].partition(">")[0][1:]
    assert following.endswith("&format=csv")
    assert ids(list(csv.DictReader(io.StringIO((await get(api.app, following)).text)))) == ["0"]


@pytest.mark.parametrize("name", ["symbol", "ticker", "asset"])
async def test_query_has_the_newest_trades(name: str) -> None:
    """Ten, or as many as `limit` says; under each name of the parameter; the next page is one of /trades."""
    api = TradeApi()
    await api.store.add([trade(number, timestamp=NOW + number) for number in range(150)])
    body = await api.get(f"/query?{name}=BTC/USDT")
    assert (body["asset"], ids(body["trades"])) == ("btcusdt", [str(149 - number) for number in range(10)])
    assert ids((await api.get(f"/trades/btcusdt?cursor={body['next']}&limit=1"))["trades"]) == ["139"]
    assert len((await api.get(f"/query?{name}=btcusdt&limit=100"))["trades"]) == 100


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/trades/nosuch", 404, "asset_not_found"),
        ("/trades/a.b", 400, "invalid_symbol"),
        ("/trades/btcusdt?limit=0", 400, "invalid_parameter"),
        ("/trades/btcusdt?limit=1001", 400, "invalid_parameter"),
        ("/trades/btcusdt?start=x", 400, "invalid_parameter"),
        ("/trades/btcusdt?start=2&end=1", 400, "invalid_parameter"),
        ("/trades/btcusdt?order=up", 400, "invalid_parameter"),
        ("/trades/btcusdt?cursor=x", 400, "invalid_parameter"),
        ("/trades/btcusdt?format=xml", 400, "invalid_parameter"),
        ("/trades/btcusdt?numbers=x", 400, "invalid_parameter"),
        ("/query", 400, "invalid_parameter"),
        ("/query?symbol=btcusdt&ticker=btcusdt", 400, "invalid_parameter"),
        ("/query?symbol=a.b", 400, "invalid_symbol"),
        ("/query?symbol=nosuch", 404, "asset_not_found"),
        ("/query?symbol=btcusdt&limit=101", 400, "invalid_parameter"),
        ("/quotes/btcusdt", 404, "no_trade"),
        ("/quotes/nosuch", 404, "asset_not_found"),
        ("/quotes/a.b", 400, "invalid_symbol"),
        ("/quotes/btcusdt?numbers=x", 400, "invalid_parameter"),
    ],
)
async def test_what_is_refused(target: str, status: int, code: str) -> None:
    """With a stable code."""
    answer = await get(TradeApi().app, target)
    assert (answer.status, answer.json["code"]) == (status, code)


def cursor(start: float = 0, end: float = NOW, after: TradeKey | None = None, asset: str = "btcusdt") -> str:
    """Return a cursor as a client could make it."""
    return CURSORS.write(TradeRange(asset, float(start), float(end), newest_first=True, after=after))


@pytest.mark.parametrize(
    "text",
    [
        cursor(asset="ethusdt"),
        cursor(-1),
        cursor(1e308, 1e308),
        cursor(2, 1),
        cursor(after=TradeKey(-1e300, "a", "b")),
        cursor(after=TradeKey(1e300, "a", "b")),
        cursor() + "A",
        "é",
        "A" * 3000,
    ],
)
async def test_a_cursor_of_ones_own_is_refused(text: str) -> None:
    """Where it is of another asset, or asks for times that no answer contains."""
    answer = await get(TradeApi().app, f"/trades/btcusdt?cursor={quote(text)}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter")


async def test_a_cursor_stands_for_the_range() -> None:
    """So start, end and order must not be given with it."""
    answer = await get(TradeApi().app, f"/trades/btcusdt?cursor={cursor()}&order=asc")
    assert answer.json["msg"] == "cursor already says start, end and order"


async def test_a_quote_is_the_last_trade() -> None:
    """Of the processor, or else of the store; with decimals as strings if they are asked for."""
    api = TradeApi()
    await api.store.add([trade(1, timestamp=NOW), trade(2, timestamp=NOW - 1)])
    expected = {
        "asset": "btcusdt",
        "price": 100,
        "volume": 1,
        "timestamp": NOW,
        "venue": "venue",
        "id": "1",
        "side": None,
        "sequence_number": None,
    }
    assert await api.get("/quotes/btcusdt") == expected
    api.live.quotes["btcusdt"] = sold(trade(3, "101.5"), 9)
    told = expected | {"id": "3", "price": Decimal("101.5"), "side": "sell", "sequence_number": 9}
    assert await api.get("/quotes/btc_usdt") == told
    assert await api.get("/quotes/btcusdt?numbers=string") == told | {"price": "101.5", "volume": "1"}


class Failing:
    """A store that is away."""

    async def trades(self, *_: object, **__: object) -> list[Trade]:
        """Fail."""
        raise StoreUnavailable("away")

    async def latest(self, _: object) -> dict[str, Trade]:
        """Fail."""
        raise StoreUnavailable("away")


@pytest.mark.parametrize("target", ["/trades/btcusdt", "/query?symbol=btcusdt", "/quotes/btcusdt"])
async def test_a_store_that_is_away(target: str) -> None:
    """503 with Retry-After; a quote that the processor knows needs no store."""
    api = TradeApi(Failing())
    answer = await get(api.app, target)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "trades_unavailable", "1")
    api.live.quotes["btcusdt"] = trade()
    assert (await get(api.app, "/quotes/btcusdt")).status == 200
