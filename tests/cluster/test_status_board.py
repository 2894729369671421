"""The status of exchanges that refreshers report to other processes, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.status.exchanges import ExchangeRoutes
from aggregator.cluster import status_board as boards
from aggregator.cluster.status_board import StatusBoard, StatusReporter
from aggregator.errors import StoreUnavailable
from aggregator.models import RateTokens, VenueWindow
from aggregator.observability.metrics import Metrics
from aggregator.stores.redis.client import RedisClient
from tests.parts import asgi
from tests.parts.examples import CATALOG
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.scripted import ScriptedExchange
from tests.parts.sharing import running, until

pytestmark = pytest.mark.real


class Seen(ScriptedExchange):
    """The state of an exchange."""

    def __init__(self, name: str = "exchange1", **state: object) -> None:
        super().__init__(name)
        vars(self).update(state)


@pytest.fixture
def board(redis_client: RedisClient) -> StatusBoard:
    """Return an empty board."""
    return StatusBoard(redis_client)


async def test_a_report_is_read_by_another_process(board: StatusBoard) -> None:
    """With every field of an exchange's state, including those that are None."""
    known = Seen(idle_seconds=2.5, newest_ticker=1e9, silent_seconds=0.0, quiet_seconds=7.0, breaker_state="half-open")
    known.push_trouble = "timeout: no message for 6 s"
    known.rejection = "outlier, 7 of 9 assets"
    known.tokens, known.listed = RateTokens(3, 1.5), 17
    known.window = VenueWindow(7, {"outlier": 2}, 9, -0.25, 0.5)
    await board.report("refresher1", [known, Seen("exchange2")])
    ((first, second),) = await board.look()
    assert (first.name, first.breaker_state, first.newest_ticker) == ("exchange1", "half-open", 1e9)
    assert (second.name, second.breaker_state, second.newest_ticker) == ("exchange2", "closed", None)
    assert (first.push_trouble, second.push_trouble) == ("timeout: no message for 6 s", None)
    assert (first.rejection, second.rejection) == ("outlier, 7 of 9 assets", "")
    assert (first.tokens, first.listed, first.window) == (known.tokens, 17, known.window)
    assert (second.tokens, second.listed, second.window) == (None, None, VenueWindow())
    assert (second.idle_seconds, first.silent_seconds, second.quiet_seconds) == (None, 0.0, 0.0)


async def test_seconds_go_on_after_the_report(board: StatusBoard) -> None:
    """Ages grow and cool-downs shrink, so that the status is true when it is read, whatever the local clock says."""
    await board.report("refresher1", [Seen(idle_seconds=2.0, silent_seconds=3.0, quiet_seconds=7.0)])

    async def has_gone_on() -> bool:
        ((one,),) = await board.look()
        return (one.idle_seconds or 0) > 2.2 and one.silent_seconds > 3.2 and one.quiet_seconds < 6.8

    await until(has_gone_on)
    await board.report("refresher1", [Seen(idle_seconds=0.0, quiet_seconds=0.01)])
    await asyncio.sleep(0.05)
    ((one,),) = await board.look()
    assert one.quiet_seconds == 0.0


async def test_each_refresher_has_its_own_report(board: StatusBoard) -> None:
    """No report replaces that of another refresher; there is none before the first."""
    assert await board.look() == []
    await board.report("refresher1", [Seen(breaker_state="open")])
    await board.report("refresher2", [Seen()])
    await board.report("refresher2", [Seen(breaker_state="half-open")])
    assert [one.breaker_state for view in await board.look() for one in view] == ["open", "half-open"]


async def test_two_refreshers_are_one_answer(board: StatusBoard) -> None:
    """/exchanges adds up what two refreshers have counted, and shows the worst of what they see."""
    for name, breaker, used in (("refresher1", "closed", 30), ("refresher2", "open", 10)):
        one = Seen(breaker_state=breaker, idle_seconds=0.0)
        one.window = VenueWindow(used, {"timeout": 5}, used, used * 0.01, used * 0.01)
        await board.report(name, [one])
    app = build(ExchangeRoutes(CATALOG, board).routes(), Metrics(CollectorRegistry()))
    shown = (await asgi.get(app, "/exchanges/exchange1")).json
    assert (shown["refreshers"], shown["tickers"], shown["left_out"]) == (2, 50, {"timeout": Decimal("0.2")})
    assert (shown["breaker"], shown["state"]) == ("open", "degraded")
    assert shown["problem"] == "its breaker is open (at 1 of 2 refreshers)"
    assert shown["mean_distance"] == shown["mean_absolute_distance"] == Decimal("0.01")


async def test_reports_of_ended_refreshers_are_deleted(
    board: StatusBoard, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is not shown any more, other refreshers delete it, and the hash expires after the last write."""
    monkeypatch.setattr(boards, "DEAD_SECONDS", 0.3)
    await board.report("dead", [Seen()])

    async def is_forgotten() -> bool:
        await board.report("living", [Seen()])
        return len(await board.look()) == 1

    await until(is_forgotten)
    key = f"{redis_client.prefix}exchanges"
    assert await redis_client.redis.hkeys(key) == [b"living"]

    async def all_is_gone() -> bool:
        return not await redis_client.redis.exists(key)

    await until(all_is_gone)
    assert await board.look() == []


async def test_processes_of_another_version_are_understood(board: StatusBoard, redis_client: RedisClient) -> None:
    """Reports of an older version have no feeds, rejections and windows; fields of a newer version are ignored."""
    older = (
        '{"name":"exchange1","breaker_state":"closed","idle_seconds":1,"silent_seconds":0,"newest_ticker":1e9,'
        '"quiet_seconds":0'
    )
    for name, reported in (
        ("older", older + "}"),
        ("newer", older + ',"rejection":"outlier, 1 of 1 assets","mood":"bad"}'),
    ):
        await redis_client.redis.hset(f"{redis_client.prefix}exchanges", name, f"99999999999 [{reported}]")
    (newer,), (old,) = await board.look()
    assert (old.push_trouble, old.rejection) == (None, "")
    assert (old.tokens, old.listed, old.window) == (None, None, VenueWindow())
    assert newer.rejection == "outlier, 1 of 1 assets"


@pytest.mark.parametrize(
    "entry", ["", "nonsense", "nonsense []", "99999999999 nonsense", '99999999999 [{"name":1}]', "nan []", b"\xff \xff"]
)
async def test_unreadable_reports_are_skipped(
    board: StatusBoard, redis_client: RedisClient, entry: str | bytes
) -> None:
    """An entry that is not ours hides no report."""
    await redis_client.redis.hset(f"{redis_client.prefix}exchanges", "other", entry)
    assert await board.look() == []
    await board.report("refresher1", [Seen()])
    assert len(await board.look()) == 1


@pytest.fixture
async def apart() -> AsyncIterator[tuple[RedisClient, int]]:
    """Return a client of a Redis that is away, and its port."""
    port = free_port()
    client = RedisClient(f"redis://127.0.0.1:{port}/0", timeout=0.25)
    yield client, port
    await client.close()


async def test_redis_away_and_back(apart: tuple[RedisClient, int]) -> None:
    """`look` raises while Redis is away; the reporter goes on, and its report is there as soon as Redis is."""
    client, port = apart
    board = StatusBoard(client)
    with pytest.raises(StoreUnavailable, match="Redis"):
        await board.look()
    async with running(StatusReporter(board, "refresher1", [Seen()]).run):
        server = RedisServer(port)

        async def is_heard() -> bool:
            return len(await board.look()) == 1

        try:
            await until(is_heard)
        finally:
            server.stop()
