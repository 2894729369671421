"""Streams of the Python client from the real service: over lost connections, a restart, silence, and refusals."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
import rt_price_aggregator_client as package
from rt_price_aggregator_client import AsyncClient, Client, Gap, LiveTrade, Price, Retries, Snapshot, StreamEvent

from tests.clients.conftest import KEY, trades
from tests.clients.tcp_proxy import TcpProxy
from tests.parts.exchanges import Market
from tests.parts.ports import lasting_port
from tests.parts.service import Service
from tests.parts.short_list import HOT, INTERVALS, SIZES, write_symbols

pytestmark = pytest.mark.real

QUICK = Retries(first_wait=0.1)
SEVERAL = 5


@pytest.fixture
def proxy(service: Service) -> Iterator[TcpProxy]:
    """Run a proxy in front of the service."""
    with TcpProxy(service.url).running() as running:
        yield running


@pytest.fixture
def proxied(proxy: TcpProxy) -> Iterator[Client]:
    """Connect to the service through the proxy."""
    with Client(proxy.url, api_key=KEY) as client:
        yield client


def prices(events: Iterator[StreamEvent], count: int) -> list[Price]:
    """Return the next prices; a stream that is resumed has no snapshot and no gap among them."""
    found = list(islice(events, count))
    assert all(isinstance(one, Price) for one in found), found
    return [one for one in found if isinstance(one, Price)]


def test_topics(client: Client) -> None:
    """A stream has a snapshot of each topic, then the values as their models, only of the assets asked for."""
    with client.stream(topics=["prices", "trades"], assets=["adausdt", "nosuch"]) as events:
        first = [next(events), next(events)]
        assert [(one.topic, len(one.values)) for one in first if isinstance(one, Snapshot)] == [
            ("prices", 1),
            ("trades", 0),
        ]
        assert isinstance(first[0], Snapshot)
        assert first[0].missing[0].asset == "nosuch"
        client.ingest(trades(1, "adausdt"))
        traded = next(one for one in events if isinstance(one, LiveTrade))
        assert (traded.asset, traded.id) == ("adausdt", "0")
        assert next(one for one in events if isinstance(one, Price)).asset == "adausdt"


def test_it_goes_on_after_a_lost_connection(client: Client, proxied: Client, proxy: TcpProxy) -> None:
    """Through a proxy that cuts every connection, a stream has the same events as one that is never cut."""
    with (
        closing(client.stream(tiers=["hot"])) as whole,
        closing(proxied.stream(tiers=["hot"], reconnect=QUICK)) as cut,
    ):
        assert isinstance(next(cut), Snapshot)
        assert isinstance(next(whole), Snapshot)
        seen = prices(cut, SEVERAL)
        for connection in (2, 3, 4):
            proxy.cut()
            while proxy.connections < connection:
                seen += prices(cut, 1)
        seen += prices(cut, SEVERAL)
        expected: list[Price] = []
        while not expected or expected[-1] != seen[-1]:
            expected += prices(whole, 1)
        both = [row for row in seen if row in expected]
        assert both == expected[-len(both) :]
        assert len({(row.asset, row.timestamp) for row in seen}) == len(seen)


def test_a_stream_of_an_earlier_run(client: Client) -> None:
    """`last_event_id` resumes without a snapshot: the first events are those that were missed."""
    with client.stream(tiers=["hot"]) as events:
        next(events)
        prices(events, 1)
        at = events.last_event_id
        after = prices(events, SEVERAL)
    with client.stream(tiers=["hot"], last_event_id=at) as again:
        assert prices(again, SEVERAL) == after


def test_silence_is_a_lost_connection(proxied: Client, proxy: TcpProxy) -> None:
    """Where nothing comes for longer than `heartbeat_timeout`, the stream connects again and goes on."""
    with proxied.stream(tiers=["hot"], heartbeat_timeout=1.0, reconnect=QUICK) as events:
        next(events)
        prices(events, 1)
        before = proxy.connections
        proxy.silence()
        while proxy.connections == before:
            prices(events, 1)
        prices(events, 1)


def test_refusals(service: Service) -> None:
    """A wrong key and an unknown topic are errors at once; an address where nothing listens, after the attempts."""
    with Client(service.url, api_key="wrong") as client, pytest.raises(package.Forbidden):
        next(client.stream())
    with Client(service.url, api_key=KEY) as client, pytest.raises(package.BadRequest, match="topics"):
        next(client.stream(topics=["nosuch"]))
    with (
        Client(f"http://127.0.0.1:{lasting_port()}", retries=Retries(attempts=2)) as client,
        pytest.raises(package.ConnectionFailed),
    ):
        next(client.stream(reconnect=QUICK))


async def test_in_an_event_loop(proxy: TcpProxy) -> None:
    """The asynchronous stream goes on after a lost connection, too, and ends with its block."""
    async with AsyncClient(proxy.url, api_key=KEY) as client:
        async with client.stream(tiers=["hot"], reconnect=QUICK) as events:
            assert isinstance(await anext(events), Snapshot)
            for connection in (2, 3):
                await asyncio.to_thread(proxy.cut)
                while proxy.connections < connection:
                    assert isinstance(await anext(events), Price)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


def test_a_gap_is_told(shared_market: Market, tmp_path: Path) -> None:
    """After a restart of the service, which forgets the events, there is a gap and then a snapshot."""
    settings = {"symbols_file": write_symbols(tmp_path), "port": lasting_port(), **SIZES, **INTERVALS}
    service = Service(tmp_path, exchanges=shared_market.setting, **settings).filled()
    with Client(service.url) as client, client.stream(assets=HOT, reconnect=QUICK) as events:
        assert isinstance(next(events), Snapshot)
        assert isinstance(next(events), Price)
        assert service.process.stop() == 0
        again = Service(tmp_path, exchanges=shared_market.setting, **settings)
        seen = next(one for one in events if not isinstance(one, Price))
        assert isinstance(seen, Gap)
        assert seen.msg
        assert isinstance(next(events), Snapshot)
    assert again.started().process.stop() == 0
