"""`details=true` and `numbers=string`: the 24-hour figures of a price, and decimals as strings."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from aggregator.prices.day_figures import window_start
from tests.api.prices.history_parts import over_sqlite
from tests.parts.asgi import get
from tests.parts.examples import NOW, price
from tests.parts.price_api import PriceApi
from tests.parts.serving import until

FIGURES = (
    "change_24h",
    "change_24h_percent",
    "high_24h",
    "low_24h",
    "volume_24h",
    "figures_since",
    "figures_reason",
)
VOLUME = Decimal("1234567.890123456790")  # of both sources of an example
LISTS = ("/prices?assets=btcusdt,ethusdt", "/prices?tier=hot")

either_way = pytest.mark.parametrize("fast_path", [True, False], ids=["fast path", "Starlette"])


async def with_history(api: PriceApi) -> PriceApi:
    """Store two prices of a day ago and one of today, and have them read."""
    since = window_start(api.now)
    points = ((since - 10, "70000"), (since + 10, "80000"), (since + 20, "60000"))
    await api.history.write([price(timestamp=at, amount=amount) for at, amount in points])
    running = asyncio.ensure_future(api.figures.run())
    await until(lambda: api.figures.of(price()).figures_reason is None)
    running.cancel()
    return api


async def test_the_figures_of_one_price() -> None:
    """Behind the fields that it has without `details`, which stay the same."""
    api = await with_history(PriceApi([price()]))
    bare = (await api.get("/prices/btcusdt?details=false")).json
    answer = await api.get("/prices/btcusdt?details=true")
    assert list(answer.json) == [*bare, *FIGURES]
    assert answer.json == bare | {
        "change_24h": Decimal("9450.12"),
        "change_24h_percent": Decimal("13.50017143"),
        "high_24h": 80000,
        "low_24h": 60000,
        "volume_24h": VOLUME,
        "figures_since": window_start(api.now),
        "figures_reason": None,
    }


@pytest.mark.parametrize("target", LISTS)
async def test_a_list_has_each_price_as_it_is_sent_alone(target: str) -> None:
    """With its figures, and the missing ones beside them."""
    api = await with_history(PriceApi([price()]))
    alone = await api.get("/prices/btcusdt?details=true")
    listed = await api.get(f"{target}&details=true")
    assert listed.body.startswith(b'{"prices":[%b],"missing":' % alone.body)


async def test_without_figures_there_is_the_reason() -> None:
    """And the volume, which needs no history. Caches must ask again, as the figures may be there the next moment."""
    api = PriceApi([price()])
    answer = await api.get("/prices/btcusdt?details=true")
    assert [answer.json[name] for name in FIGURES] == [None] * 4 + [VOLUME, window_start(api.now), "loading"]
    assert answer.headers["cache-control"] == "max-age=0"


async def test_a_new_second_and_a_new_price_show_at_once() -> None:
    """Figures that have not changed are not encoded again, but `time_ago` is."""
    api = await with_history(PriceApi([price()]))
    first = (await api.get("/prices/btcusdt?details=true")).json
    api.now += 1
    second = (await api.get("/prices/btcusdt?details=true")).json
    assert (first["time_ago"], second["time_ago"]) == ("2s ago", "3s ago")
    assert {name: first[name] for name in FIGURES} == {name: second[name] for name in FIGURES}
    api.prices = [price(timestamp=NOW + 3, amount="90000")]
    third = (await api.get("/prices/btcusdt?details=true")).json
    assert (third["change_24h"], third["high_24h"]) == (20000, 90000)
    api.now += 300  # the window moves on
    api.prices = [price(timestamp=api.now, amount="90000")]
    assert (await api.get("/prices/btcusdt?details=true")).json["figures_since"] == first["figures_since"] + 300


async def test_a_client_that_has_the_figures_gets_304() -> None:
    """Until the price or the figures change."""
    api = PriceApi([price()])
    for target in ("/prices/btcusdt?details=true", "/prices?assets=btcusdt&details=true"):
        tag = (await api.get(target)).headers["etag"]
        assert (await api.get(target, if_none_match=tag)).status == 304
        assert (await api.get(target.replace("details=true", "x=1"))).headers["etag"] != tag
    await with_history(api)
    changed = await api.get(target, if_none_match=tag)
    assert (changed.status, changed.json["prices"][0]["figures_reason"]) == (200, None)
    tag = changed.headers["etag"]
    await api.history.write([price(timestamp=NOW - 60, amount="99000")])
    api.figures.receive([price(timestamp=NOW - 60, amount="99000")])  # came late: the price stays, the high does not
    assert (await api.get(target, if_none_match=tag)).json["prices"][0]["high_24h"] == 99000


def as_text(body: Any) -> Any:
    """Return decoded JSON in which every number that is no time or count is replaced by its text."""
    if isinstance(body, list):
        return [as_text(one) for one in body]
    if not isinstance(body, dict):
        return body
    others = {"timestamp", "updated_at", "figures_since", "rate_timestamp", "start", "count"}
    return {
        name: str(part) if isinstance(part, Decimal) and name not in others else as_text(part)
        for name, part in body.items()
    }


@either_way
@pytest.mark.parametrize(
    "path", ["/prices/btcusdt?details=true", "/prices/btcusdt?", *LISTS, "/prices/btcusdt/sources?"]
)
async def test_decimals_as_strings(path: str, *, fast_path: bool) -> None:
    """With all their digits; all else is the same."""
    api = await with_history(PriceApi([price()], fast_path=fast_path))
    numbers = json.loads((await api.get(f"{path}&numbers=number")).body, parse_float=Decimal, parse_int=Decimal)
    strings = json.loads((await api.get(f"{path}&numbers=string")).body, parse_float=Decimal, parse_int=Decimal)
    for body in (numbers, strings):
        del_counts(body)
    assert strings == as_text(numbers)
    assert '"price":"79450.12"' in (await api.get(f"{path}&numbers=string")).text


def del_counts(body: Any) -> None:
    """Remove the number of sources, which is a number in either form."""
    for one in body.get("prices", [body]):
        if isinstance(one["sources"], Decimal):
            del one["sources"]


async def test_strings_are_current_too() -> None:
    """Their bodies are kept as those with numbers are: a new price shows at once."""
    api = PriceApi([price()])
    assert (await api.get("/prices/btcusdt?numbers=string")).json["price"] == "79450.12"
    api.prices = [price(timestamp=NOW + 1, amount="0.00000012")]
    assert (await api.get("/prices/btcusdt?numbers=string")).json["price"] == "1.2E-7"
    assert (await api.get("/prices/btcusdt")).json["price"] == Decimal("1.2E-7")


@pytest.mark.parametrize("path", ["/prices/btcusdt", "/prices/btcusdt/sources", "/prices?assets=btcusdt"])
async def test_another_value_is_refused(path: str) -> None:
    """The message says what is allowed."""
    api = PriceApi([price()])
    separator = "&" if "?" in path else "?"
    for value in ("text", "", "STRING", "number,string"):
        answer = await api.get(f"{path}{separator}numbers={value}")
        assert (answer.status, answer.json) == (
            400,
            {"msg": "numbers must be one of number, string", "code": "invalid_parameter"},
        )
    if not path.endswith("sources"):
        answer = await api.get(f"{path}{separator}details=yes")
        assert (answer.status, answer.json["msg"]) == (400, "details must be one of true, false")


async def test_stored_prices_and_candles_as_strings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """History, at and candles; the address of the next page keeps the form. CSV has one form only."""
    async with over_sqlite(tmp_path_factory.mktemp("history")) as parts:
        asset = parts.fresh_asset()
        await parts.history.write([price(asset, NOW - number, "79450.10") for number in range(3)])
        rows = await parts.pages(f"/prices/{asset}/history?limit=1&numbers=string")
        assert [(row["price"], row["spread"]) for row in rows] == [("79450.10", "0.0002019346379")] * 3
        assert (await parts.get(f"/prices/{asset}/at?time={NOW!r}&numbers=string"))["price"] == "79450.10"
        (*_, candle) = (await parts.get(f"/prices/{asset}/candles?numbers=string"))["candles"]
        assert [candle[name] for name in ("open", "high", "low", "close")] == ["79450.10"] * 4
        for path in ("history", f"at?time={NOW!r}", "candles"):
            separator = "&" if "?" in path else "?"
            refused = await get(parts.app, f"/prices/{asset}/{path}{separator}numbers=float")
            assert (refused.status, refused.json["msg"]) == (400, "numbers must be one of number, string")
            plain = await get(parts.app, f"/prices/{asset}/{path}{separator}format=csv")
            same = await get(parts.app, f"/prices/{asset}/{path}{separator}format=csv&numbers=string")
            assert same.body == plain.body
