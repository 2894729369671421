"""Paper trading in the service: signals as they come, and a backtest of the same trades finds the same positions."""

import csv
import random
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from signal import SIGKILL

import pytest

from aggregator.models import Trade, encode
from tests.parts.exchanges import Market
from tests.parts.paper_trading import RULES, assert_same, naive_replay, position_of
from tests.parts.process import wait_for
from tests.parts.service import Service, call

pytestmark = pytest.mark.real

ASSETS = ("btcusdt", "etheur")
TRADES = 2_000  # of each asset
BATCH, KILLS = 150, 8  # a batch is of less than the five minutes that a start measures again
RULES_AS_SETTINGS = {"strategy_drop": RULES.drop, "strategy_gain": RULES.gain, "strategy_stop": RULES.stop}


def market_of(asset: str, number: int, last: float) -> list[Trade]:
    """Return trades of the time before `last`, in order, whose price walks by up to 1 %: many drops, gains, stops."""
    chance, price, seconds = random.Random(asset), Decimal(100), last - 1.5 * number
    found = []
    for place in range(number):
        seconds += chance.choice([0.25, 1.0, 2.5])
        price = max(Decimal(1), (price * (1 + Decimal(chance.randint(-100, 100)) / 10_000)).quantize(Decimal("1e-6")))
        found.append(Trade(asset, price, Decimal(1), round(min(seconds, last), 3), "venue", f"{place:06}"))
    return found


def send(service: Service, trades: Sequence[Trade]) -> None:
    """Send trades as lines of JSON."""
    lines = b"\n".join(map(encode, trades))
    answer = call("POST", f"{service.url}/ingest", {"Content-Type": "application/x-ndjson"}, lines)
    assert answer.json["accepted"] == len(trades), answer.text


def test_a_backtest_finds_what_the_service_found(tmp_path: Path, market: Market) -> None:
    """To the digit, ids included; both are those of a naive replay."""
    (tmp_path / "symbols.csv").write_text("symbol,base,quote\nbtcusdt,btc,usdt\netheur,eth,eur\n")
    trades = [market_of(asset, TRADES, time.time()) for asset in ASSETS]
    settings = {"exchanges": market.setting, "symbols_file": tmp_path / "symbols.csv"} | RULES_AS_SETTINGS
    running = Service(tmp_path, strategy="true", **settings).started()
    running.process.wait_for_line("paper_trading")
    for start in range(0, TRADES, 700):
        for asset in trades:
            send(running, asset[start : start + 700])
    expected = [naive_replay(asset) for asset in trades]
    closed = sum(one.exit is not None for asset in expected for one in asset)
    assert closed > 20
    wait_for(lambda: len(running.get("/positions/closed?limit=1000").json["positions"]) == closed)
    wait_for(lambda: len(running.get("/positions").json["positions"]) == sum(map(len, expected)) - closed)
    wait_for(lambda: running.get("/positions/closed").json["totals"]["closed"] == closed)
    told = running.get("/positions/closed?limit=1000").json
    rows = [*told["positions"], *running.get("/positions").json["positions"]]
    found = sorted(map(position_of, rows), key=lambda one: (one.asset, one.entry_time))
    for symbol, positions in zip(ASSETS, expected, strict=True):
        assert_same([one for one in found if one.asset == symbol], positions)
        signals = running.get(f"/signals/{symbol}?limit=1000").json["signals"]
        assert len(signals) == sum(1 if one.exit is None else 2 for one in positions)

    snapshot = running.get("/stream?topics=signals&assets=btcusdt&seconds=1").text
    assert "event: snapshot" in snapshot
    assert '"side":' in snapshot
    path = tmp_path / "positions.csv"
    options = ("--from", repr(trades[0][0].timestamp), "--csv", str(path))
    tested = Service(tmp_path, "backtest", *options, **settings)
    assert tested.process.ended() == 0, tested.process.output
    with path.open(newline="") as file:
        written = [position_of(row) for row in csv.DictReader(file)]
    assert written == found
    assert f"Total: {closed} closed, {told['totals']['won']} won" in tested.process.output
    assert running.process.stop() == 0, running.process.output


def test_off_by_default(tmp_path: Path, market: Market) -> None:
    """No asset is traded on paper unless the setting says so; the calls answer."""
    (tmp_path / "symbols.csv").write_text("symbol\nbtcusdt\n")
    running = Service(tmp_path, exchanges=market.setting, symbols_file=tmp_path / "symbols.csv").started()
    send(running, market_of("btcusdt", 300, time.time()))
    assert running.get("/signals/btcusdt").json == {"asset": "btcusdt", "paper": True, "signals": [], "next": None}
    assert running.get("/positions").json == {"paper": True, "positions": []}
    assert running.process.stop() == 0
    assert "paper_trading" not in running.process.output


def test_killed_services_make_each_signal_once(tmp_path: Path, market: Market) -> None:
    """A service that is killed after every batch of trades finds the positions of one that never stops."""
    (tmp_path / "symbols.csv").write_text("symbol,base,quote\nbtcusdt,btc,usdt\n")
    trades = market_of("btcusdt", BATCH * KILLS, time.time())
    settings = {"exchanges": market.setting, "symbols_file": tmp_path / "symbols.csv"} | RULES_AS_SETTINGS
    settings |= {"strategy": "true", "events_url": f"sqlite:///{tmp_path}/events.db"}
    for start in range(0, len(trades), BATCH):
        running = Service(tmp_path, **settings).started()
        send(running, trades[start : start + BATCH])
        running.process.signal(SIGKILL)
        running.process.ended()
    running = Service(tmp_path, **settings).started()
    expected = naive_replay(trades)
    wanted = sum(1 if one.exit is None else 2 for one in expected)
    assert wanted > 8
    wait_for(lambda: len(running.get("/signals/btcusdt?limit=1000").json["signals"]) >= wanted)
    rows = running.get("/positions/closed?limit=1000").json["positions"]
    rows += running.get("/positions").json["positions"]
    assert_same(sorted(map(position_of, rows), key=lambda one: one.entry_time), expected)
    signals = running.get("/signals/btcusdt?limit=1000").json["signals"]
    assert len({one["id"] for one in signals}) == len(signals) == wanted
    assert running.process.stop() == 0, running.process.output
