"""Prices that move with the exchanges' feeds, long before the schedule's next turn; one refresher has all feeds."""

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.exchanges.venues.base import Quote
from tests.exchanges.venues.binance import BinanceFeed
from tests.exchanges.venues.coinbase import CoinbaseFeed
from tests.exchanges.venues.kraken import KrakenFeed
from tests.exchanges.venues.sockets import Feed, beside
from tests.parts import redis_server
from tests.parts.figures import print_line
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

NAMES = {"binance": "btcusdt", "kraken": "BTC/USDT", "coinbase": "BTC-USDT"}
HOT = {"hot_interval": 60, "medium_interval": 60, "cold_interval": 60, "hot_size": 1}


class Scene:
    """Three exchanges that push btcusdt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.feeds: dict[str, Feed] = {"binance": BinanceFeed(), "kraken": KrakenFeed(), "coinbase": CoinbaseFeed()}
        for feed in self.feeds.values():
            feed.price = "100"
            quote = Quote("btc", "usdt", "100", "5")
            feed.rest.quotes = {quote.symbol: quote}
        (folder / "symbols.csv").write_text("symbol,base,quote\nbtcusdt,btc,usdt\n")

    def push(self, price: str, *names: str) -> None:
        """Make these exchanges push this price from now on."""
        for name in names:
            self.feeds[name].prices[NAMES[name]] = price

    def service(self, **settings: object) -> Service:
        """Start a service on them."""
        exchanges = ",".join(f"{name}={name}+{feed.url}/polled+{feed.push_url}" for name, feed in self.feeds.items())
        chosen: dict[str, object] = {"symbols_file": self.folder / "symbols.csv", "exchanges": exchanges}
        return Service(self.folder, **(chosen | HOT | settings))

    @property
    def subscribed(self) -> set[int]:
        """How many connections the exchanges have each."""
        return {feed.open for feed in self.feeds.values()}

    @property
    def polls(self) -> int:
        """How often the exchanges were polled."""
        return sum(feed.polls for feed in self.feeds.values())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Open the exchanges."""
    scene = Scene(tmp_path)
    with beside(*scene.feeds.values()):
        yield scene


def filled(service: Service) -> Service:
    """Wait until btcusdt has its first price."""
    service.started().process.wait_for_line("tier_filled.*tier=hot")
    return service


def price(service: Service) -> Decimal | None:
    """Return the price of btcusdt; None while there is none."""
    answer = service.get("/prices/btcusdt")
    return Decimal(answer.json["price"]) if answer.status == 200 else None


def wait_for_price(service: Service, amount: str) -> None:
    """Wait until btcusdt has this price."""
    wait_for(lambda: price(service) == Decimal(amount), allowed(1), amount)


def live(service: Service) -> bool:
    """Whether every feed pushes."""
    return all(service.metric(f'price_exchange_push_state{{exchange="{name}"}}') == 1 for name in NAMES)


def test_a_price_follows_the_feeds(scene: Scene) -> None:
    """With a minute between refreshes, the price moves within a second of a push; history has what was answered."""
    service = filled(scene.service())
    wait_for(lambda: live(service), what="live feeds")
    scene.push("101", *NAMES)
    wait_for_price(service, "101")
    polls = scene.polls  # of a round that began before the feeds were live, some may arrive later
    for amount in ("102", "103"):
        scene.push(amount, *NAMES)
        wait_for_price(service, amount)
    scene.push("104", "binance")  # one of three moves the price by its weight
    wait_for(lambda: Decimal(103) < (price(service) or 0) < Decimal(104), allowed(1), "one alone")
    answered = service.get("/prices/btcusdt").json
    kept = service.get(f"/prices/btcusdt/at?time={answered['timestamp']}").json
    assert kept["price"] == answered["price"]
    assert scene.polls < polls + len(NAMES), "no round of polls since then"
    assert service.metric('price_refresh_total{tier="hot",trigger_type="push"}') >= 4
    assert service.process.stop() == 0


def test_a_liar_that_pushes_is_left_out(scene: Scene) -> None:
    """A feed that jumps to three times the market changes no price, at any number of frames."""
    service = filled(scene.service())
    wait_for(lambda: live(service), what="live feeds")
    scene.push("300", "kraken")
    rejected = 'price_tickers_rejected_total{exchange="kraken",reason="outlier"}'
    wait_for(lambda: service.metric(rejected) >= 5, what="outliers")
    rows = service.get("/prices/btcusdt/history?limit=1000").json["prices"]
    assert {row["price"] for row in rows} == {100}
    assert service.process.stop() == 0


def test_history_that_keeps_the_last_of_each_gap(scene: Scene) -> None:
    """With HISTORY_MIN_GAP=1 there is one row a second although many more prices were answered."""
    service = filled(scene.service(history_min_gap=1))
    wait_for(lambda: live(service), what="live feeds")
    made = 'price_refresh_total{tier="hot",trigger_type="push"}'
    wait_for(lambda: service.metric(made) >= 30, what="prices")
    assert service.process.stop() == 0
    again = filled(scene.service(history_min_gap=1))
    rows = again.get("/prices/btcusdt/history?limit=1000").json["prices"]
    gaps = [int(row["timestamp"]) for row in rows]
    assert len(gaps) >= 2
    assert len(set(gaps[1:])) == len(gaps[1:])  # the newest gap may be under way again after the restart
    assert again.process.stop() == 0


def test_one_refresher_has_the_feeds(
    scene: Scene, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two refreshers one is subscribed; after kill -9 the other one is, and prices move again within 5 s."""
    with redis_server.alone() as redis:
        first = scene.service(role="refresher", cache_url=redis.url).started()
        wait_for(lambda: live(first), what="live feeds")
        second = scene.service(role="refresher", cache_url=redis.url).started()
        api = scene.service(role="api", cache_url=redis.url).started()
        wait_for(lambda: price(api) == 100, what="a price")
        polls = scene.polls
        for amount in ("101", "102"):
            scene.push(amount, *NAMES)
            wait_for_price(api, amount)
            assert scene.subscribed == {1}
        assert scene.polls < polls + len(NAMES)  # as above
        first.process.stop(SIGKILL)
        killed = time.monotonic()
        scene.push("103", *NAMES)
        wait_for(lambda: price(api) == 103, allowed(5), "the other one's prices")
        print_line(
            request,
            capsys,
            f"kill -9 of the holder of the feeds: prices move again after {time.monotonic() - killed:.2f} s",
        )
        wait_for(lambda: live(second) and scene.subscribed == {1}, what="one subscription")
        third = scene.service(role="refresher", cache_url=redis.url).started()
        assert second.process.stop() == 0
        scene.push("104", *NAMES)
        wait_for(lambda: price(api) == 104, allowed(5), "the third one's prices")
        assert third.process.stop() == 0
        assert api.process.stop() == 0
