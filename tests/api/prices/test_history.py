"""Reads of history: pages, the price at a time, and candles, with the same answers from SQLite and DynamoDB."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.models import Price, encode
from aggregator.prices.candles import INTERVALS
from aggregator.stores.sqlite import SqliteHistory
from tests.api.prices.history_parts import Parts, over_sqlite
from tests.parts.asgi import get
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import NOW, price
from tests.parts.limits import FULL, examples
from tests.parts.sending_outbox import sending_outbox
from tests.prices.test_candles import naive


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    """Open the routes over SQLite."""
    async with over_sqlite(tmp_path_factory.mktemp("sqlite")) as parts:
        yield parts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dynamodb(dynamodb_running: DynamoServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    """Open the routes over the outbox and DynamoDB, while the outbox sends prices to the table."""
    async with sending_outbox(dynamodb_running, tmp_path_factory.mktemp("outbox") / "outbox.db") as history:
        yield Parts(history)


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.real)])
def parts(request: pytest.FixtureRequest) -> Parts:
    """Return the routes over each store in turn."""
    found: Parts = request.getfixturevalue(request.param)
    return found


points = st.lists(
    st.tuples(st.integers(0, 4 * 3600 * 1000), st.integers(1, 10_000)), max_size=60, unique_by=lambda point: point[0]
)


def stored(asset: str, drawn: Sequence[tuple[int, int]]) -> list[Price]:
    """Return prices from (milliseconds, hundredths) pairs, in order of time."""
    return [price(asset, NOW + at / 1000, str(Decimal(amount) / 100)) for at, amount in sorted(drawn)]


def pairs(rows: Sequence[dict[str, Any]]) -> list[tuple[float, Decimal]]:
    """Return (timestamp, price) of each row."""
    return [(float(row["timestamp"]), Decimal(row["price"])) for row in rows]


@settings(
    max_examples=examples(80),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    drawn=points,
    limit=st.integers(1, 25),
    order=st.sampled_from(["asc", "desc"]),
    cut=st.tuples(st.integers(0, 4 * 3600), st.integers(0, 4 * 3600)).map(sorted),
    interval=st.sampled_from(sorted(INTERVALS)),
)
@pytest.mark.asyncio(loop_scope="module")
async def test_pages_at_and_candles_agree_with_a_naive_computation(  # drawn by Hypothesis
    parts: Parts, drawn: list[tuple[int, int]], limit: int, order: str, cut: list[int], interval: str
) -> None:
    """Pages, prices at a time and candles equal a naive computation, for random prices, ranges and page sizes."""
    asset = parts.fresh_asset()
    prices = stored(asset, drawn)
    await parts.history.write(prices)
    start, end = NOW + cut[0], NOW + cut[1]
    inside = [(one.timestamp, one.price) for one in prices if start <= one.timestamp <= end]

    span = f"start={start!r}&end={end!r}"
    rows = await parts.pages(f"/prices/{asset}/history?{span}&limit={limit}&order={order}")
    assert pairs(rows) == (inside if order == "asc" else inside[::-1])

    candles = (await parts.get(f"/prices/{asset}/candles?{span}&interval={interval}"))["candles"]
    expected = naive(inside, INTERVALS[interval])
    assert [(row["start"], row["open"], row["high"], row["low"], row["close"], row["count"]) for row in candles] == [
        (one.start, one.open, one.high, one.low, one.close, one.count) for one in expected
    ]

    for moment in (start, end, *(one.timestamp for one in prices[:3])):
        before = [(one.timestamp, one.price) for one in prices if one.timestamp <= moment]
        answer = await get(parts.app, f"/prices/{asset}/at?time={moment!r}")
        assert (pairs([answer.json]) if answer.status == 200 else []) == before[-1:]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_row_shows_its_time_both_ways(parts: Parts) -> None:
    """A row has its time in unix seconds and as RFC 3339; a query by either finds it."""
    asset = parts.fresh_asset()
    await parts.history.write([price(asset, 1696118400.123)])
    (row,) = (await parts.get(f"/prices/{asset}/history"))["prices"]
    assert row == {
        "asset": asset,
        "timestamp": Decimal("1696118400.123"),
        "time": "2023-10-01T00:00:00.123Z",
        "price": Decimal("79450.12"),
        "sources": 2,
        "spread": Decimal("0.0002019346379"),
        "updated_at": Decimal("1696118400.246456"),
        "degraded": True,
    }
    for moment in (row["timestamp"], row["time"], quote("2023-10-01T02:00:00.123+02:00")):
        assert await parts.get(f"/prices/{asset}/at?time={moment}") == row


@pytest.mark.asyncio(loop_scope="module")
async def test_a_row_with_its_sources(parts: Parts) -> None:
    """With sources=true, a row has tickers and reasons as they were stored, on every page and at a time."""
    asset = parts.fresh_asset()
    stored = [price(asset, NOW + number) for number in range(3)]
    await parts.history.write(stored)
    details = json.loads(encode({"sources": stored[0].sources, "left_out": stored[0].left_out}), parse_float=Decimal)
    counted = await parts.pages(f"/prices/{asset}/history?limit=1&order=asc&sources=false")
    rows = await parts.pages(f"/prices/{asset}/history?limit=1&order=asc&sources=true&format=json")
    assert [row["sources"] for row in counted] == [2, 2, 2]
    assert rows[0] == counted[0] | details
    assert [row["sources"][0]["timestamp"] for row in rows] == [NOW, NOW + 1, NOW + 2]
    assert await parts.get(f"/prices/{asset}/at?time={NOW!r}&sources=true") == rows[0]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_candle_knows_no_volume(parts: Parts) -> None:
    """Volume and VWAP are null, because a ticker's volume is that of 24 hours."""
    asset = parts.fresh_asset()
    await parts.history.write([price(asset, NOW + number) for number in range(3)])
    (candle,) = (await parts.get(f"/prices/{asset}/candles?start={NOW!r}"))["candles"]
    assert (candle["count"], candle["volume"], candle["vwap"]) == (3, None, None)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_full_page_that_ends_with_the_range_is_the_end(parts: Parts) -> None:
    """When exactly one full page of prices ends at `end`, the candles contain all of them."""
    asset = parts.fresh_asset()
    await parts.history.write([price(asset, NOW + number) for number in range(1000)])
    body = await parts.get(f"/prices/{asset}/candles?start={NOW!r}&end={NOW + 999!r}")
    assert sum(candle["count"] for candle in body["candles"]) == 1000


@pytest.mark.asyncio(loop_scope="module")
async def test_a_start_in_the_future_is_a_range_without_data(sqlite: Parts) -> None:
    """A start in the future without an end is an empty range, not an error."""
    asset = sqlite.fresh_asset()
    for route, key in (("history", "prices"), ("candles", "candles")):
        assert (await sqlite.get(f"/prices/{asset}/{route}?start=2100-01-01"))[key] == []


@pytest.mark.asyncio(loop_scope="module")
async def test_candles_reach_500_intervals_back(sqlite: Parts) -> None:
    """Without `start`, candles cover 500 intervals."""
    asset = sqlite.fresh_asset()
    await sqlite.history.write([price(asset, NOW - 499 * 60), price(asset, NOW - 502 * 60)])
    assert len((await sqlite.get(f"/prices/{asset}/candles"))["candles"]) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_range_without_data_is_an_empty_list(parts: Parts) -> None:
    """A range without prices is 200 and an empty list; a time before all prices is 404."""
    asset = parts.fresh_asset()
    assert await parts.get(f"/prices/{asset}/history") == {"asset": asset, "prices": [], "next": None}
    assert await parts.get(f"/prices/{asset}/candles") == {"asset": asset, "interval": "1m", "candles": []}
    answer = await get(parts.app, f"/prices/{asset}/at?time=2023-10-01")
    assert answer.status == 404
    assert "2023-10-01T00:00:00.000Z" in answer.json["msg"]


def cell(value: object) -> str:
    """Return a JSON value in its CSV form."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.asyncio(loop_scope="module")
async def test_csv_where_it_is_asked_for(parts: Parts) -> None:
    """CSV has the same rows under a header, for pages, a time, and candles."""
    asset = parts.fresh_asset()
    await parts.history.write([price(asset, NOW + number) for number in range(3)])
    for target, key in (
        (f"/prices/{asset}/history?order=asc", "prices"),
        (f"/prices/{asset}/candles?start={NOW}", "candles"),
    ):
        answer = await get(parts.app, target, {"Accept": "text/csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        asked = "&" if "?" in target else "?"
        assert (await get(parts.app, f"{target}{asked}format=csv")).text == answer.text
        as_json = await get(parts.app, f"{target}{asked}format=json", {"Accept": "text/csv"})
        assert as_json.headers["content-type"] == "application/json"
        refused = await get(parts.app, f"{target}{asked}format=xml")
        assert (refused.status, refused.json["msg"]) == (400, "format must be one of json, csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        expected = (await parts.get(target))[key]
        assert [{name: cell(value) for name, value in row.items()} for row in expected] == rows
    answer = await get(parts.app, f"/prices/{asset}/at?time={NOW}", {"Accept": "text/csv"})
    assert len(list(csv.DictReader(io.StringIO(answer.text)))) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_candles_of_many_rows_stream(tmp_path: Path) -> None:
    """Candles of 20,000 rows, or 100,000 with CHAOS=full, are computed page by page, and complete."""
    rows = 100_000 if FULL else 20_000
    history = SqliteHistory(tmp_path / "long.db")
    await history.open()
    for start in range(0, rows, 5000):
        await history.write([price("a0", NOW + number, "100") for number in range(start, start + 5000)])
    asked: list[int] = []
    between = history.between

    async def counted(symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        asked.append(limit)
        return await between(symbol, start, end, limit, newest_first=newest_first)

    history.between = counted  # type: ignore[method-assign]  # counts, then calls the original
    parts = Parts(history)
    body = await parts.get(f"/prices/a0/candles?start={NOW!r}&end={NOW + rows!r}&interval=5m")
    assert sum(candle["count"] for candle in body["candles"]) == rows
    assert max(asked) == 1000
    assert len(asked) >= rows / 1000
    await history.close()
