"""Prices as they are sent: the quick way and the long way say the same, and caches on the way are told the truth."""

import gzip
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from aggregator.api.app import build
from aggregator.api.buffered_metrics import BufferedMetrics
from aggregator.api.fast_path import FastPath
from aggregator.api.price_bodies import Body, PriceBodies, matches
from aggregator.api.prices import PriceRoutes
from aggregator.api.refresh import RefreshRoute
from aggregator.api.sources import SourcesRoute
from aggregator.api.throttle import Recheck, Throttle
from aggregator.live.topics import Bus
from aggregator.models import Asset, NoPrice, Price, Tier, encode, price_body
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.ports import Trigger
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from aggregator.prices.tiers import assign
from aggregator.stores.memory import MemoryCache
from tests.parts import asgi
from tests.parts.examples import BTC, CADENCE, CATALOG, NOW, price
from tests.parts.scripted import Store
from tests.parts.service import Answer

TTL = {tier: cadence.ttl for tier, cadence in CADENCE.items()}
ETH = CATALOG.assets["ethusdt"]


class NoRefresh:
    """No exchange has anything."""

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Give nothing."""
        assert trigger == "force"
        return NoPrice(asset.symbol)


class Api:
    """The application with and without the quick way before it, at a time that goes when told."""

    def __init__(self, prices: Sequence[Price] = (), symbols: Sequence[str] = ("btcusdt", "ethusdt")) -> None:
        self.now = NOW + 2.25
        self.prices = prices
        catalog = assign([(symbol, "", "") for symbol in symbols], 1, 0, CADENCE)
        metrics = self.metrics = Metrics(CollectorRegistry())
        self.cache = MemoryCache(NewestPrices(TTL, lambda: self.now, lambda: self.now), Bus())
        accesses, bodies = AccessCounts(metrics, by_symbol=True), PriceBodies(catalog, lambda: self.now)
        self.accesses = accesses
        lookup = Lookup(catalog, self.cache, Store(), NoRefresh(), metrics, accesses, lambda: self.now)
        throttle = Throttle(NoRefresh(), cooldown=1, rate=50)
        recheck = Recheck(NoRefresh(), 50)
        routes = [
            *PriceRoutes(catalog, lookup, bodies).routes(),
            *SourcesRoute(catalog, lookup, bodies, recheck).routes(),
            *RefreshRoute(catalog, lookup, throttle, bodies).routes(),
        ]
        self.long_way = build(routes, metrics)
        self.asked_the_long_way = 0
        self.tally = BufferedMetrics(metrics, accesses, FreshnessMetrics(catalog, metrics))
        self.quick_way = FastPath(self._counting, catalog, self.cache, bodies, self.tally, lambda: self.now)

    async def _counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked_the_long_way += 1
        await self.long_way(scope, receive, send)

    async def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Ask, after the prices have been put into the cache."""
        await self.cache.write(self.prices)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await asgi.get(self.quick_way, target, named, method)

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value, all that was counted handed on."""
        self.tally.flush()
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("later", [0.0, 0.5, 4.9, 7.4, 7.6, 9.0])
async def test_both_ways_say_the_same(later: float) -> None:
    """Status, headers and body, at every age; but for the request's id, which names nothing where nothing is logged."""
    api = Api([price()])
    api.now = NOW + later
    quick = await api.get("/prices/btcusdt")
    assert api.asked_the_long_way == 0
    long = await asgi.get(api.long_way, "/prices/btcusdt")
    assert long.headers.pop("x-request-id")
    assert (quick.status, quick.headers, quick.body) == (long.status, long.headers, long.body)
    assert quick.json["stale"] is (later > 7.5)


@pytest.mark.parametrize(
    ("target", "method", "headers"),
    [
        ("/prices/btcusdt?x=1", "GET", {}),
        ("/prices/BTCUSDT", "GET", {}),
        ("/prices/ethusdt", "GET", {}),
        ("/prices/btcusdt/sources", "GET", {}),
        ("/prices/btcusdt", "PUT", {}),
        ("/prices/btcusdt", "GET", {"content_length": "5"}),
        ("/prices/btcusdt", "GET", {"transfer_encoding": "chunked"}),
        ("/prices/", "GET", {}),
    ],
)
async def test_what_is_out_of_the_ordinary_goes_the_long_way(target: str, method: str, headers: dict[str, str]) -> None:
    """Where all the checks are."""
    api = Api([price()])
    await api.get(target, method, **headers)
    assert api.asked_the_long_way == 1


async def test_a_price_that_is_gone_is_not_served() -> None:
    """Though the cache still has it."""
    api = Api([price(timestamp=NOW - 31)])
    assert (await api.get("/prices/btcusdt")).status == 503


@pytest.mark.parametrize(("later", "max_age"), [(0.0, 5), (0.1, 4), (4.9, 0), (5.0, 0), (9.0, 0)])
async def test_how_long_a_cache_may_keep_it(later: float, max_age: int) -> None:
    """Until its successor is due; a stale one not at all."""
    api = Api([price()])
    api.now = NOW + later
    assert (await api.get("/prices/btcusdt")).headers["cache-control"] == f"max-age={max_age}"


@pytest.mark.parametrize("target", ["/prices/btcusdt", "/prices/btcusdt?", "/prices?assets=btcusdt"])
async def test_who_has_it_is_told_so(target: str) -> None:
    """304 without a body, whatever form the tag comes in; a new price, or turning stale, is another tag."""
    api = Api([price()])
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
def test_any_header_is_an_answer(text: str) -> None:
    """A list of tags is read, whatever it is."""
    assert matches(b'W/"x"', text.encode("latin-1")) in (True, False)


async def test_head_says_what_get_would() -> None:
    """The same headers; the server leaves the body out."""
    api = Api([price()])
    head, get = await api.get("/prices/btcusdt", "HEAD"), await api.get("/prices/btcusdt")
    assert (head.status, head.headers) == (get.status, get.headers)
    assert int(get.headers["content-length"]) == len(get.body)
    assert api.asked_the_long_way == 0


async def test_every_answer_is_counted() -> None:
    """As the long way counts: status, duration, hit, and who was asked for."""
    api = Api([price()])
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


@pytest.mark.parametrize("later", [2.0, 7.4, 7.6])
@pytest.mark.parametrize("target", ["/prices/btcusdt", "/prices/btcusdt?long", "/prices?assets=btcusdt"])
async def test_how_old_it_is_is_counted(target: str, later: float) -> None:
    """To the fraction of a second, and whether it said to be stale, whichever way it went."""
    api = Api([price()])
    api.now = NOW + later
    await api.get(target)
    assert api.value("price_age_at_read_seconds_sum", tier="hot") == pytest.approx(later)
    assert api.value("price_age_at_read_seconds_count", tier="hot") == 1
    assert api.value("price_stale_served_total", tier="hot") == (later > 7.5)


SYMBOLS = [f"asset{number}" for number in range(200)]


async def test_lists_are_compressed_for_who_wants_it() -> None:
    """A list shrinks to less than a third; a single price is never compressed, nor is what nobody wants compressed."""
    api = Api([price(symbol) for symbol in SYMBOLS], SYMBOLS)
    target = "/prices?assets=" + ",".join(SYMBOLS)
    plain = await api.get(target)
    packed = await api.get(target, accept_encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3
    for single in ("/prices/asset1", "/prices/asset1?"):
        assert "content-encoding" not in (await api.get(single, accept_encoding="gzip")).headers


async def test_a_list_is_its_prices_as_each_is_sent_alone() -> None:
    """Byte for byte, in the order asked for, and the missing ones beside them."""
    api = Api([price("asset1"), price("asset2")], SYMBOLS)
    alone = [json.loads((await api.get(f"/prices/{name}")).body) for name in ("asset2", "asset1")]
    answer = await api.get("/prices?assets=asset2,NOSUCH,asset1,asset3,b@d")
    listed = json.loads(answer.body)
    assert listed["prices"] == alone
    assert [one["asset"] for one in listed["missing"]] == ["nosuch", "b@d", "asset3"]
    assert answer.headers["cache-control"] == "max-age=0"  # the missing may be there the next moment


async def test_what_is_no_price_is_kept_by_nobody() -> None:
    """Errors, and answers about one moment."""
    api = Api()
    for target in ("/prices/btcusdt", "/prices/nosuch", "/prices/btcusdt/sources"):
        assert (await api.get(target)).headers["cache-control"] == "no-store"


@given(st.sampled_from(list(Tier)), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_a_body_is_true_whenever_it_is_sent_and_made_once_a_second(tier: Tier, steps: list[float]) -> None:
    """It says what a new one would; between whole seconds of its age none is made, but for the one that turns stale."""
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
    """However young the one before."""
    bodies = PriceBodies(CATALOG, lambda: NOW)
    first = bodies.of(BTC, price())
    assert bodies.of(BTC, price()) is first
    assert bodies.of(BTC, price(timestamp=NOW - 1)) is not first
    assert bodies.of(ETH, price("ethusdt")).raw != first.raw
    cold = Asset("btcusdt", "btc", "usdt", Tier.COLD, 1)
    assert json.loads(bodies.of(cold, price()).raw)["refresh_tier"] == "cold"


@given(st.lists(st.floats(-4000, 4000), min_size=1, max_size=20))
def test_a_body_is_true_when_the_clock_steps(steps: list[float]) -> None:
    """Made before a step, in either direction, it says no longer what is so; one of the future is not to be cached."""
    now = NOW
    bodies = PriceBodies(CATALOG, lambda: now)
    for step in steps:
        now += step
        body = bodies.of(BTC, price())
        fields = json.loads(body.raw)
        assert fields["stale"] == (not -5 <= now - NOW <= 7.5)
        assert body.max_age == 0 or not fields["stale"]
