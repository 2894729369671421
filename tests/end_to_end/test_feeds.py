"""The service on exchanges with WebSocket feeds, with quotes to convert, and on recordings of them."""

import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.exchanges.venues.base import Quote
from tests.exchanges.venues.binance import BinanceFeed
from tests.exchanges.venues.kraken import KrakenFeed
from tests.exchanges.venues.sockets import Feed, beside
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

SYMBOLS = "symbol,base,quote\nbtcusd,btc,usd\nusdtusd,usdt,usd\n"
EVERY = {"hot_interval": 1, "medium_interval": 1, "cold_interval": 1}


class Scene:
    """Binance, which lists btcusdt only, and Kraken, which lists btcusd and usdtusd."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binance, self.kraken = BinanceFeed(), KrakenFeed()
        self.binance.price = "100000.00000001"
        self.kraken.prices = {"BTC/USD": "99980.5", "USDT/USD": "0.9999"}
        self.trades(self.binance, Quote("btc", "usdt", "100000.00000002", "5"))
        self.trades(self.kraken, Quote("btc", "usd", "99980.6", "5"), Quote("usdt", "usd", "0.9999", "5"))
        (folder / "symbols.csv").write_text(SYMBOLS)

    def trades(self, feed: Feed, *quotes: Quote) -> None:
        """Set the symbols that a venue lists."""
        feed.rest.quotes = {quote.symbol: quote for quote in quotes}

    @property
    def exchanges(self) -> str:
        """The AGGREGATOR_EXCHANGES setting."""
        return ",".join(
            f"{name}={name}+{feed.url}/polled+{feed.push_url}"
            for name, feed in (("binance", self.binance), ("kraken", self.kraken))
        )

    def service(self, *command: str, **settings: object) -> Service:
        """Run a command on them. Each pair is listed by one venue only, so one source must be enough for a price."""
        chosen: dict[str, object] = {"symbols_file": self.folder / "symbols.csv", "exchanges": self.exchanges}
        chosen["min_sources"] = 1
        return Service(self.folder, *command, **(chosen | EVERY | settings))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Open both venues."""
    scene = Scene(tmp_path)
    with beside(scene.binance, scene.kraken):
        yield scene


def sources(service: Service) -> dict[str, Any]:
    """Return the sources of btcusd by exchange."""
    answer = service.get("/prices/btcusd/sources")
    return {one["exchange"]: one for one in answer.json["sources"]} if answer.status == 200 else {}


def left_out(service: Service) -> dict[str, str]:
    """Return why exchanges have no part in the price of btcusd, by exchange."""
    answer = service.get("/prices/btcusd/sources")
    return {one["exchange"]: one["reason"] for one in answer.json["left_out"]} if answer.status == 200 else {}


def wait_for_pushed_answers(service: Service, exchange: str) -> None:
    """Wait until the schedule has used a pushed ticker."""
    series = f'price_exchange_push_answers_total{{exchange="{exchange}"}}'
    wait_for(lambda: service.metric(series) > 0, what=series)


def test_pushed_and_converted(scene: Scene) -> None:
    """Btcusd is made of Kraken's ticker and Binance's btcusdt x usdtusd, pushed; a silent feed is polled and named."""
    service = scene.service(conversions="usdtusd").started()
    wait_for(lambda: {one["push"] for one in service.get("/ready").json["exchanges"].values()} == {"live"}, what="live")
    found: dict[str, Any] = {}

    def converted_price() -> Decimal | None:
        """Return the price of Binance's part in a price of both exchanges; None while it is of one."""
        found.update(both := sources(service))
        return both["binance"]["converted"]["price"] if len(both) == 2 else None

    def both_are_pushed() -> bool:
        """Whether the price is made of pushed tickers; the polled ones have other prices, and may come first."""
        return converted_price() == Decimal("100000.00000001") and found["kraken"]["price"] == Decimal("99980.5")

    wait_for(both_are_pushed, what="pushed")
    converted = found["binance"]["converted"]
    assert (converted["symbol"], converted["rate"], converted["rate_price"]) == (
        "btcusdt",
        "usdtusd",
        Decimal("0.9999"),
    )
    assert found["binance"]["price"] == Decimal("99990.000000009999")
    assert "converted" not in found["kraken"]
    for name in ("binance", "kraken"):
        wait_for_pushed_answers(service, name)
    scene.binance.mute = True
    fallen = "binance: is polled, as its feed has fallen back"
    wait_for(lambda: any(one.startswith(fallen) for one in service.get("/ready").json["reasons"]), what="told")
    wait_for(lambda: converted_price() == Decimal("100000.00000002"), what="polled")
    wait_for(lambda: service.get("/prices/btcusd").json["stale"] is False, what="a fresh price")
    scene.binance.mute = False
    wait_for(lambda: converted_price() == Decimal("100000.00000001"), what="pushed again")
    assert service.process.stop() == 0


def test_quotes_are_not_mixed(scene: Scene) -> None:
    """Without the conversion setting, a usdt ticker has no part in a usd price."""
    service = scene.service().started()
    wait_for(lambda: bool(sources(service)), what="a price")
    assert list(sources(service)) == ["kraken"]
    # An answer that comes after the first price was made is `late`; the listing is known from then on.
    wait_for(lambda: left_out(service) == {"binance": "not_listed"}, what="binance to be left out as not listing it")
    assert list(sources(service)) == ["kraken"]
    service.process.stop()


def test_what_was_recorded_is_served_again(scene: Scene) -> None:
    """`aggregator record` writes a file that `replay+file://` serves, polled and pushed, without Kraken."""
    path = scene.folder / "kraken.rec.gz"
    exchange = scene.exchanges.partition(",")[2]
    recorder = scene.service("record", "--file", str(path), "--seconds", "3", exchanges=exchange)
    assert recorder.process.ended() == 0, recorder.process.output
    assert re.search(r"recorded .*records=[1-9]", recorder.process.output), recorder.process.output
    polls = scene.kraken.polls
    service = scene.service(exchanges=f"replay+file://{path}").started()
    wait_for(lambda: bool(sources(service)), what="a price")
    found = sources(service)["kraken"]
    assert found["price"] in (Decimal("99980.5"), Decimal("99980.6"))
    assert abs(float(found["timestamp"]) - time.time()) < 10
    wait_for(lambda: service.metric('price_exchange_push_answers_total{exchange="kraken"}') > 0, what="pushed frames")
    service.process.stop()
    assert scene.kraken.polls == polls


def test_a_recording_that_cannot_be_made_or_played_is_one_line(scene: Scene) -> None:
    """One line for each: an existing file, two exchanges, ccxt, an invalid recording, an unlisted conversion rate."""
    there = scene.folder / "there.rec.gz"
    there.write_text("x")
    for command, settings, told in (
        (("record", "--file", str(there)), {"exchanges": "kraken"}, "cannot write .*there.rec.gz: File exists"),
        (("record", "--file", "new.rec.gz"), {}, "record takes one exchange; name one with --exchanges"),
        (("record", "--file", "new.rec.gz"), {"exchanges": "ccxt:kraken"}, "no raw answers to record"),
        ((), {"exchanges": f"replay+file://{there}"}, "there.rec.gz: Not a gzipped file"),
        ((), {"exchanges": "a=replay+file:///nowhere"}, "nowhere: .*No such file"),
        ((), {"conversions": "eurusd"}, "eurusd not in .*but a rate of --conversions"),
    ):
        service = scene.service(*command, **settings)
        assert service.process.ended() == 1, service.process.output
        (line,) = service.process.output.splitlines()
        assert re.search(told, line), line
