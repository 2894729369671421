"""Trades lose nothing: what a client has an answer for is stored once, despite kills, stops and full disks.

`CHAOS=full` sends a million trades through 20 kills; without it fewer.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from aggregator.models import Trade
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.market_pb2 import MarketUpdate
from tests.chaos.parts import files_again, no_more_files
from tests.chaos.trade_clients import ASSETS, CALL, Clients, Sent, trades_of
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service, call
from tests.trades.test_features import naive

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
CALLS = 2000 if FULL else 60
KILLS = 20 if FULL else 4
PATIENT = 900.0 if FULL else 120.0  # seconds; a limit for a busy machine, no promise
STOP_SECONDS = allowed(10)

Report = Callable[[str], None]


def start(folder: Path, market: Market, **settings: object) -> Service:
    """Start the service on the files of the folder."""
    symbols = folder / "symbols.csv"
    symbols.write_text("\n".join(["symbol", *ASSETS]))
    chosen = {"symbols_file": symbols, "window_trades": 1_000_000} | settings
    return Service(folder, exchanges=market.setting, **chosen).started()


def stored(folder: Path) -> list[Trade]:
    """Return all trades of the service's file, each as often as it is found."""
    return asyncio.run(_stored(folder))


async def _stored(folder: Path) -> list[Trade]:
    store = SqliteTrades(folder / "trades.db", 1e12)
    await store.open()
    found = [one for asset in ASSETS for one in await store.trades(asset, 0, 1e11, 10_000_000, newest_first=False)]
    await store.close()
    return found


def assert_kept(found: Sequence[Trade], sent: Sent, clients: Clients) -> None:
    """Assert that every acknowledged trade is there once, as it was sent, and beside them only trades in doubt."""
    by_id = {one.id: one for one in found}
    assert len(found) == len(by_id), "a trade is stored twice"
    surely = trades_of(sent, sorted(clients.acknowledged))
    perhaps = trades_of(sent, sorted(clients.begun - clients.acknowledged))
    assert surely.keys() - by_id.keys() == set(), "an acknowledged trade is lost"
    assert by_id.keys() - surely.keys() - perhaps.keys() == set(), "a trade is stored that nobody sent"
    expected = surely | perhaps
    assert [one for one in found if _as_sent(one) != expected[one.id]] == []


def _as_sent(one: Trade) -> Trade:
    return Trade(one.asset, one.price, one.volume, one.timestamp, one.venue, one.id)


def assert_measured(service: Service, found: Sequence[Trade]) -> None:
    """Assert that the features of every asset equal a naive recomputation from the stored trades."""
    for asset in ASSETS:
        features = service.get(f"/features/{asset}").json
        for name, value in naive([one for one in found if one.asset == asset and not one.late]).items():
            got = features[name]
            assert (got is None) == (value is None), (asset, name)
            assert value is None or float(got) == pytest.approx(value, rel=1e-9, abs=1e-12), (asset, name)


def until_acknowledged(clients: Clients, calls: float) -> None:
    """Wait until so many calls are acknowledged, or a client has failed."""
    wait_for(lambda: len(clients.acknowledged) >= calls or clients.has_failed, PATIENT, "calls to be acknowledged")


def test_kill_9_at_random_moments(tmp_path: Path, shared_market: Market, report: Report) -> None:
    """After kills at random moments, with clients that repeat, each trade is stored and measured once."""
    moments, sent = random.Random(17), Sent(time.time() - 7200)
    service = start(tmp_path, shared_market)
    with Clients(sent, service.url) as clients:
        clients.begin(CALLS)
        for life in range(KILLS):
            due = (life + moments.uniform(0.2, 1)) * CALLS / (KILLS + 1)
            until_acknowledged(clients, due)
            time.sleep(moments.uniform(0, 0.05))  # so that a kill comes at any point of a call
            service.process.stop(SIGKILL)
            service = start(tmp_path, shared_market)
            clients.url = service.url
        clients.finish(PATIENT)
        found = stored(tmp_path)
        report(f"kill -9, {KILLS} times: {len(found)} trades stored, {clients.repeats} calls repeated")
        assert len(clients.acknowledged) == CALLS
        assert_kept(found, sent, clients)
        assert clients.repeats >= KILLS
        assert clients.accepted <= len(found)
        assert_measured(service, found)
        # Now a kill after which no call is repeated: some are in doubt.
        clients.begin(CALLS)
        until_acknowledged(clients, CALLS + 3)
        service.process.stop(SIGKILL)
        clients.leave(PATIENT)
        assert len(clients.acknowledged) < 2 * CALLS  # the kill came in the midst of them
        assert_kept(stored(tmp_path), sent, clients)


def test_a_stop_under_load(tmp_path: Path, shared_market: Market) -> None:
    """SIGTERM amid calls: the service ends with 0, and everything acknowledged is stored once."""
    sent = Sent(time.time() - 7200)
    service = start(tmp_path, shared_market)
    with Clients(sent, service.url) as clients:
        clients.begin(1_000_000)
        until_acknowledged(clients, 10)
        service.process.signal(SIGTERM)
        assert service.process.ended(STOP_SECONDS) == 0, service.process.output
        clients.leave(PATIENT)
        assert "Traceback" not in service.process.output
        assert_kept(stored(tmp_path), sent, clients)


def test_a_full_disk(tmp_path: Path, shared_market: Market) -> None:
    """While nothing can be written calls get 503, nothing is acknowledged, and then the service goes on by itself."""
    sent = Sent(time.time() - 7200)
    service = start(tmp_path, shared_market, ingest_backlog=1000)
    with Clients(sent, service.url) as clients:
        clients.begin(5)
        clients.finish(PATIENT)
        no_more_files(service)
        clients.begin(10)
        wait_for(lambda: service.metric("trades_backlog") >= 1000 or clients.has_failed, PATIENT, "a full backlog")
        refused = call("POST", f"{service.url}/ingest", {"Content-Type": "application/x-protobuf"}, UPDATE)
        assert (refused.status, refused.json["code"]) == (503, "backlog_full")
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        service.process.wait_for_line("trades_not_stored")
        assert len(clients.acknowledged) == 5
        assert len(stored_by(service)) == 5 * CALL
        files_again(service)
        clients.finish(PATIENT)
        assert len(clients.acknowledged) == 15
        assert service.process.output.count("trades_not_stored") == 1
        assert_measured(service, stored(tmp_path))
        assert service.process.stop() == 0, service.process.output
        assert_kept(stored(tmp_path), sent, clients)


UPDATE = MarketUpdate(ticker=ASSETS[0], price=1, volume=1, timestamp_ns=10**18 + 1).SerializeToString()


def stored_by(service: Service) -> set[str]:
    """Return the ids of all trades that the service answers with."""
    found: set[str] = set()
    for asset in ASSETS:
        path = f"/trades/{asset}?limit=1000&order=asc&start=1000000000"
        page = service.get(path).json
        while page["next"]:
            found |= {one["id"] for one in page["trades"]}
            page = service.get(f"{path}&cursor={page['next']}").json
        found |= {one["id"] for one in page["trades"]}
    return found
