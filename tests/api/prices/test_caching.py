"""GET /prices: the fast path and Starlette give the same answers, and HTTP caches are told how long they hold."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from aggregator.api.prices.bodies import Body, PriceBodies
from aggregator.api.routing.compression import ACCEPT, GZIP
from aggregator.api.routing.replies import matches
from aggregator.api.routing.responses import accepts
from aggregator.models import Asset, Tier, encode, price_body
from tests.parts import asgi
from tests.parts.examples import BTC, CADENCE, CATALOG, NOW, price
from tests.parts.price_api import PriceApi

ETH = CATALOG.assets["ethusdt"]
SYMBOLS = [f"asset{number}" for number in range(200)]

either_way = pytest.mark.parametrize("fast_path", [True, False], ids=["fast path", "Starlette"])


@pytest.mark.parametrize("later", [0.0, 0.5, 4.9, 7.4, 7.6, 9.0])
async def test_both_ways_give_the_same_answer(later: float) -> None:
    """Status, headers and body, at every age; only Starlette's has a request id, as only Starlette's may be logged."""
    api = PriceApi([price()])
    api.now = NOW + later
    fast = await api.get("/prices/btcusdt")
    assert api.starlette_requests == 0
    slow = await asgi.get(api.starlette, "/prices/btcusdt")
    assert slow.headers.pop("x-request-id")
    assert (fast.status, fast.headers, fast.body) == (slow.status, slow.headers, slow.body)
    assert fast.json["stale"] is (later > 7.5)


async def test_without_the_fast_path_starlette_serves_everything() -> None:
    """As with the setting fast_path=false."""
    api = PriceApi([price()], fast_path=False)
    assert (await api.get("/prices/btcusdt")).status == 200
    assert api.starlette_requests == 1


@pytest.mark.parametrize(
    ("target", "method", "headers"),
    [
        ("/prices/btcusdt?x=1", "GET", {}),
        ("/prices/btcusdt?details=true", "GET", {}),
        ("/prices/btcusdt?numbers=string", "GET", {}),
        ("/prices/btcusdt?numbers=text", "GET", {}),
        ("/prices/BTCUSDT", "GET", {}),
        ("/prices/ethusdt", "GET", {}),
        ("/prices/btcusdt/sources", "GET", {}),
        ("/prices/btcusdt", "PUT", {}),
        ("/prices/btcusdt", "GET", {"content_length": "5"}),
        ("/prices/btcusdt", "GET", {"transfer_encoding": "chunked"}),
        ("/prices/", "GET", {}),
    ],
)
async def test_other_requests_go_to_starlette(target: str, method: str, headers: dict[str, str]) -> None:
    """Where all the checks are."""
    api = PriceApi([price()])
    await api.get(target, method, **headers)
    assert api.starlette_requests == 1


@either_way
async def test_a_price_that_is_too_old_is_not_served(*, fast_path: bool) -> None:
    """Though the cache still has it."""
    api = PriceApi([price(timestamp=NOW - 31)], fast_path=fast_path)
    assert (await api.get("/prices/btcusdt")).status == 503


@either_way
@pytest.mark.parametrize(("later", "max_age"), [(0.0, 5), (0.1, 4), (4.9, 0), (5.0, 0), (9.0, 0)])
async def test_how_long_a_cache_may_keep_it(later: float, max_age: int, *, fast_path: bool) -> None:
    """Until the next price is due; a stale one not at all."""
    api = PriceApi([price()], fast_path=fast_path)
    api.now = NOW + later
    assert (await api.get("/prices/btcusdt")).headers["cache-control"] == f"max-age={max_age}"


@either_way
@pytest.mark.parametrize("target", ["/prices/btcusdt", "/prices/btcusdt?", "/prices?assets=btcusdt"])
async def test_a_client_that_has_the_price_gets_304(target: str, *, fast_path: bool) -> None:
    """Without a body, whatever form the tag has; a new price has another tag, and a price that turns stale as well."""
    api = PriceApi([price()], fast_path=fast_path)
    tag = (await api.get(target)).headers["etag"]
    assert tag.startswith('W/"')
    for seen in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        answer = await api.get(target, if_none_match=seen)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
        assert "max-age" in answer.headers["cache-control"]
    api.now += 1  # older, but the same
    assert (await api.get(target, if_none_match=tag)).status == 304
    for seen in ('"other"', tag.replace('"', ""), "", "*x"):
        assert (await api.get(target, if_none_match=seen)).status == 200
    api.now = NOW + 7.6
    assert (await api.get(target, if_none_match=tag)).status == 200
    api.now = NOW + 1
    api.prices = [price(timestamp=NOW + 1)]
    assert (await api.get(target, if_none_match=tag)).status == 200


@given(st.text(st.characters(codec="latin-1"), max_size=40))
def test_any_if_none_match_can_be_read(text: str) -> None:
    """Whatever text it is, nothing is raised."""
    assert matches(b'W/"x"', text.encode("latin-1")) in (True, False)


@either_way
async def test_head_has_the_headers_of_get(*, fast_path: bool) -> None:
    """The server leaves the body out."""
    api = PriceApi([price()], fast_path=fast_path)
    head, get = await api.get("/prices/btcusdt", "HEAD"), await api.get("/prices/btcusdt")
    assert (head.status, head.headers) == (get.status, get.headers)
    assert int(get.headers["content-length"]) == len(get.body)
    assert api.starlette_requests == (0 if fast_path else 2)


@either_way
async def test_every_answer_is_counted(*, fast_path: bool) -> None:
    """By status, with its duration, as a hit, and under its asset."""
    api = PriceApi([price()], fast_path=fast_path)
    tag = (await api.get("/prices/btcusdt")).headers["etag"]
    await api.get("/prices/btcusdt", if_none_match=tag)
    assert api.value("price_api_requests_total", endpoint="/prices", status="200") == 1
    assert api.value("price_api_requests_total", endpoint="/prices", status="304") == 1
    assert api.value("price_api_request_duration_seconds_count", endpoint="/prices") == 2
    assert api.value("price_cache_hits_total") == 2
    assert api.value("price_reads_total", found_in="near") == 2
    assert api.value("price_asset_access_total", asset="btcusdt", tier="hot") == 2
    assert api.accesses.drain() == {"btcusdt": 2}
    assert api.accesses.drain() == {}


@either_way
@pytest.mark.parametrize("later", [2.0, 7.4, 7.6])
@pytest.mark.parametrize("target", ["/prices/btcusdt", "/prices/btcusdt?long", "/prices?assets=btcusdt"])
async def test_the_age_of_a_served_price_is_counted(target: str, later: float, *, fast_path: bool) -> None:
    """To the fraction of a second, and whether the price was stale."""
    api = PriceApi([price()], fast_path=fast_path)
    api.now = NOW + later
    await api.get(target)
    assert api.value("price_age_at_read_seconds_sum", tier="hot") == pytest.approx(later)
    assert api.value("price_age_at_read_seconds_count", tier="hot") == 1
    assert api.value("price_stale_served_total", tier="hot") == (later > 7.5)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("br", False),
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip ; q = 0.000, br", False),
    ],
)
def test_a_client_may_refuse_gzip(header: str, *, accepted: bool) -> None:
    """The weight 0 means that the client does not take it."""
    assert accepts(Headers({ACCEPT: header}), ACCEPT, GZIP) is accepted


@either_way
async def test_lists_are_compressed_on_request(*, fast_path: bool) -> None:
    """To less than a third, if the client accepts gzip; a single price never."""
    api = PriceApi([price(symbol) for symbol in SYMBOLS], SYMBOLS, fast_path=fast_path)
    target = "/prices?assets=" + ",".join(SYMBOLS)
    plain = await api.get(target)
    packed = await api.get(target, accept_encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3
    for refused in ("gzip;q=0", "br, gzip; q=0.0", "GZIP;Q=0.000, identity"):
        assert "content-encoding" not in (await api.get(target, accept_encoding=refused)).headers
    for single in ("/prices/asset1", "/prices/asset1?"):
        assert "content-encoding" not in (await api.get(single, accept_encoding="gzip")).headers


@either_way
async def test_a_list_has_each_price_as_it_is_sent_alone(*, fast_path: bool) -> None:
    """Byte for byte, in the order of the request, and the missing ones beside them."""
    api = PriceApi([price("asset1"), price("asset2")], SYMBOLS, fast_path=fast_path)
    alone = [json.loads((await api.get(f"/prices/{name}")).body) for name in ("asset2", "asset1")]
    answer = await api.get("/prices?assets=asset2,NOSUCH,asset1,asset3,b@d")
    listed = json.loads(answer.body)
    assert listed["prices"] == alone
    assert [one["asset"] for one in listed["missing"]] == ["nosuch", "b@d", "asset3"]
    assert answer.headers["cache-control"] == "max-age=0"  # the missing may be there the next moment


@either_way
async def test_errors_are_not_to_be_cached(*, fast_path: bool) -> None:
    """Nor answers that hold for one moment only."""
    api = PriceApi(fast_path=fast_path)
    for target in ("/prices/btcusdt", "/prices/nosuch", "/prices/btcusdt/sources"):
        assert (await api.get(target)).headers["cache-control"] == "no-store"


@given(st.sampled_from(list(Tier)), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_a_body_is_current_and_rendered_once_a_second(tier: Tier, steps: list[float]) -> None:
    """It equals a new one at every moment; between whole seconds of age it is rendered again only as it turns stale."""
    now = NOW
    bodies = PriceBodies(CATALOG, lambda: now)
    asset = Asset("btcusdt", "btc", "usdt", tier, 1)
    made: dict[int, set[int]] = {}
    kept: list[Body] = []  # or their ids would be used again
    for step in steps:
        now += step
        body = bodies.of(asset, price())
        kept.append(body)
        assert body.raw == encode(price_body(price(), tier, now, CADENCE[tier].stale_after))
        made.setdefault(int(now - NOW), set()).add(id(body))
    assert all(len(ids) <= (2 if second == 7 else 1) for second, ids in made.items())


def test_another_price_or_tier_is_another_body_at_once() -> None:
    """However young the body before."""
    bodies = PriceBodies(CATALOG, lambda: NOW)
    first = bodies.of(BTC, price())
    assert bodies.of(BTC, price()) is first
    assert bodies.of(BTC, price(timestamp=NOW - 1)) is not first
    assert bodies.of(ETH, price("ethusdt")).raw != first.raw
    cold = Asset("btcusdt", "btc", "usdt", Tier.COLD, 1)
    assert json.loads(bodies.of(cold, price()).raw)["refresh_tier"] == "cold"


@given(st.lists(st.floats(-4000, 4000), min_size=1, max_size=20))
def test_a_body_is_current_when_the_clock_steps(steps: list[float]) -> None:
    """It is rendered again after a step in either direction; a price from the future is not to be cached."""
    now = NOW
    bodies = PriceBodies(CATALOG, lambda: now)
    for step in steps:
        now += step
        body = bodies.of(BTC, price())
        fields = json.loads(body.raw)
        assert fields["stale"] == (not -5 <= now - NOW <= 7.5)
        assert body.max_age == 0 or not fields["stale"]
