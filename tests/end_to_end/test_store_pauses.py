"""A group of workers whose stores hang for a moment: no process ends, whenever that happens."""

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from tests.end_to_end.workers import Workers
from tests.parts import redis_server
from tests.parts.exchanges import Market

pytestmark = pytest.mark.real

ALL_WAIT = "(?s)" + ".*store_awaited" * 3
PATIENCE = 120.0  # time limit for three new interpreters on a loaded machine, in seconds


def test_stores_paused_while_the_workers_start(tmp_path: Path, symbols_file: Path, market: Market) -> None:
    """Workers that find Redis hanging, and then the history file locked (by a backup), wait, and serve afterwards.

    The parent has opened both before.
    """
    with redis_server.alone() as redis, ExitStack() as stack:
        workers = Workers(tmp_path, redis, symbols_file, exchanges=market.setting).born()
        redis.process.signal(SIGSTOP)
        file = stack.enter_context(closing(sqlite3.connect(tmp_path / "prices.db", isolation_level=None)))
        file.execute("BEGIN EXCLUSIVE")
        workers.process.wait_for_line(ALL_WAIT, PATIENCE)
        redis.process.signal(SIGCONT)
        workers.process.wait_for_line("store_awaited.*locked", PATIENCE)
        file.execute("ROLLBACK")
        workers.ready()
        assert workers.get("/prices/btcusdt").status == 200
        workers.process.signal(SIGTERM)
        workers.ended_well()


@pytest.mark.long
def test_told_to_stop_while_they_wait_for_redis(tmp_path: Path, symbols_file: Path, market: Market) -> None:
    """SIGTERM ends workers that wait for Redis, without a traceback."""
    with redis_server.alone() as redis:
        workers = Workers(tmp_path, redis, symbols_file, exchanges=market.setting).born()
        redis.process.signal(SIGSTOP)
        workers.process.wait_for_line(ALL_WAIT, PATIENCE)
        workers.process.signal(SIGTERM)
        assert workers.process.ended(PATIENCE) == 0, workers.process.output
        assert "Traceback" not in workers.process.output
        assert workers.gone()
        redis.process.signal(SIGCONT)
