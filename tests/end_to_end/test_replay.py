"""`aggregator replay` against the service: each trade is stored once, also after a restart, and in windows."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGKILL

import pytest

from mock_exchange.trades import TRADES_PER_SECOND
from tests.parts.exchanges import Market, MockExchange
from tests.parts.process import Process, wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

TRADES = 3_000
KEY = "a-key"


def service(folder: Path, market: Market, **settings: object) -> Service:
    """Start a service that takes no trades but those that are sent to it."""
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\n")
    chosen = {"exchanges": market.setting, "symbols_file": folder / "symbols.csv"} | settings
    return Service(folder, trades_url=f"sqlite:///{folder}/trades.db", **chosen).started()


def replay(path: Path, url: str, *options: str, key: str = "") -> Process:
    """Start the command."""
    return Service(path.parent, "replay", str(path), "--url", url, *options, api_key=key).process


def ids(running: Service, asset: str) -> list[str]:
    """Return the ids of all stored trades of an asset, oldest first."""
    found: list[str] = []
    path = f"/trades/{asset}?limit=1000&order=asc&start=1000000000"
    while path:
        page = running.get(path).json
        found += [trade["id"] for trade in page["trades"]]
        path = f"/trades/{asset}?limit=1000&cursor={page['next']}" if page["next"] else ""
    return found


def written(path: Path, count: int, *, step: float, more: Sequence[str] = ()) -> Path:
    """Write a CSV file with `count` trades, `step` seconds apart, the last of them now."""
    first = time.time() - count * step
    lines = [f"btcusdt,{100 + number},1,{first + number * step:.6f},{number}" for number in range(count)]
    path.write_text("\n".join(["asset,price,volume,timestamp,id", *lines, *more]) + "\n")
    return path


def test_a_file(tmp_path: Path, market: Market) -> None:
    """Every trade is stored once, in order, with a key if the service wants one; a second replay adds nothing."""
    running = service(tmp_path, market, api_keys=KEY)
    path = written(tmp_path / "trades.csv", TRADES, step=0.001)
    refused = replay(path, running.url, "--speed", "max")
    assert refused.ended() == 1
    assert "set AGGREGATOR_API_KEY" in refused.output
    for line in ("accepted 3,000, duplicates 0, rejected 0", "accepted 0, duplicates 3,000, rejected 0"):
        process = replay(path, running.url, "--speed", "max", key=KEY)
        assert process.ended() == 0, process.output
        assert line in process.output
    assert ids(running, "btcusdt") == [str(number) for number in range(TRADES)]
    assert running.get("/quotes/btcusdt").json["price"] == 100 + TRADES - 1
    assert running.process.stop() == 0


def test_old_trades_as_new_ones(tmp_path: Path, market: Market) -> None:
    """With `--shift now`, trades of last year have a part in the windows of now."""
    running = service(tmp_path, market)
    path = tmp_path / "trades.ndjson"
    lines = [{"asset": "btcusdt", "price": 100, "volume": 10}, {"asset": "btcusdt", "price": 200, "volume": 20}]
    times = [{"time": "2025-11-21T06:10:27Z"}, {"time": "2025-11-21T06:10:27.5Z"}]
    path.write_text("".join(json.dumps(one | two) + "\n" for one, two in zip(lines, times, strict=True)))
    process = replay(path, running.url, "--shift", "now")
    assert process.ended() == 0, process.output
    wait_for(lambda: running.get("/aggregations/btcusdt").status == 200)
    found = running.get("/aggregations/btcusdt").json
    assert float(found["vwap_1min"]) == pytest.approx(166.667, abs=0.001)
    assert running.process.stop() == 0


def test_rejected_trades(tmp_path: Path, market: Market) -> None:
    """The summary has the reasons of the service; what is good is stored."""
    running = service(tmp_path, market)
    path = written(tmp_path / "trades.csv", 5, step=1, more=["dogeusdt,1,1,1795241427,x", "btcusdt,0,1,1795241427,y"])
    process = replay(path, running.url, "--speed", "max")
    assert process.ended() == 1
    assert "row 7: the asset 'dogeusdt' is not listed" in process.output
    assert "row 8: the price must be" in process.output
    assert ids(running, "btcusdt") == ["0", "1", "2", "3", "4"]
    assert running.process.stop() == 0


def test_a_service_that_is_killed(tmp_path: Path, market: Market) -> None:
    """The replay waits for the service to come back, and then nothing is missing and nothing doubled."""
    running = service(tmp_path, market)
    port = int(running.url.rpartition(":")[2])
    path = written(tmp_path / "trades.csv", TRADES, step=0.002)
    process = replay(path, running.url, "--speed", "2")
    wait_for(lambda: len(ids(running, "btcusdt")) > 100)
    running.process.stop(SIGKILL)
    again = service(tmp_path, market, port=port)
    assert process.ended(60) == 0, process.output
    assert "calls repeated" in process.output
    assert ids(again, "btcusdt") == [str(number) for number in range(TRADES)]
    assert again.process.stop() == 0


def test_an_interrupt(tmp_path: Path, market: Market) -> None:
    """Ctrl-C ends the replay at once with the summary of what was sent."""
    running = service(tmp_path, market)
    process = replay(written(tmp_path / "trades.csv", 100, step=30), running.url)
    wait_for(lambda: ids(running, "btcusdt") == ["0"])
    assert process.stop(SIGINT) == 0
    assert "stopped; sent 1 trade in 1 call," in process.output
    assert "Traceback" not in process.output
    assert running.process.stop() == 0


def test_recorded_trades(tmp_path: Path, market: Market) -> None:
    """`aggregator record --trade-feeds true` writes a file whose trades `replay` sends to another service."""
    path = tmp_path / "mock.rec.gz"
    (tmp_path / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\n")
    command = ("record", "--file", str(path), "--seconds", "4", "--trade-feeds", "true")
    exchange = MockExchange("exchange1", trades_per_second=TRADES_PER_SECOND)
    trading = f"{exchange.name}=mock+{exchange.url}"
    recorder = Service(tmp_path, *command, exchanges=trading, symbols_file=tmp_path / "symbols.csv")
    assert recorder.process.ended(60) == 0, recorder.process.output
    exchange.stop()
    running = service(tmp_path, market)
    process = replay(path, running.url, "--speed", "max")
    assert process.ended() == 0, process.output
    assert "rejected 0" in process.output
    stored = ids(running, "btcusdt") + ids(running, "ethusdt")
    assert stored
    assert f"accepted {len(stored):,}," in process.output
    assert running.get("/quotes/btcusdt").json["venue"] == exchange.name
    assert running.process.stop() == 0
