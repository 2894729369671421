"""The dashboard "SQL": its queries run on PostgreSQL, as the user that the container creates for Grafana."""

import asyncio
import re

import asyncpg
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from aggregator.stores.postgres.migrations import migrate
from tests.deploy.test_deploy import DEPLOY, SERVICES
from tests.parts.monitoring import BOARDS
from tests.parts.postgres import PASSWORD, PostgresServer

BOARD = BOARDS["sql.json"]
(SOURCE,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/timescale.yml").read_text())["datasources"]
READERS = (DEPLOY / "timescale/readers.sql").read_text()


def filled_in(query: str) -> str:
    """Replace Grafana's macros and variables."""
    query = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '1 hour' AND now()", query)
    return query.replace("${asset:sqlstring}", "'btcusdt'")


def test_it_asks_the_database_that_is_provisioned() -> None:
    """Panels, queries and the variable use the data source by uid; its address is that of the container."""
    named = {"type": SOURCE["type"], "uid": SOURCE["uid"]}
    asked = [panel["datasource"] for panel in BOARD["panels"] if "targets" in panel]
    asked += [target["datasource"] for panel in BOARD["panels"] for target in panel.get("targets", ())]
    assert all(one == named for one in [*asked, BOARD["templating"]["list"][0]["datasource"]])
    assert len(asked) == 8
    host, _, port = SOURCE["url"].partition(":")
    assert (SERVICES[host]["environment"]["POSTGRES_DB"], port) == (SOURCE["jsonData"]["database"], "5432")
    assert [one for one in SERVICES[host]["volumes"] if one.startswith("./deploy/timescale/readers.sql:")]
    assert f"CREATE ROLE {SOURCE['user']} LOGIN;" in READERS


@pytest.mark.real
async def test_its_queries_find_what_is_stored(postgres_running: PostgresServer) -> None:
    """Each query has rows, and the user of Grafana can write nothing."""
    server, database = postgres_running, await asyncio.to_thread(postgres_running.new_database)
    await migrate(server.address(database), PASSWORD)
    password = PASSWORD.get_secret_value()
    for statement in (READERS, f"ALTER ROLE {SOURCE['user']} PASSWORD '{password}'", _TRADES, _PRICES):
        await asyncio.to_thread(server.sql, statement, database)
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=SOURCE["user"], password=password, database=database, ssl=False
    )
    try:
        for query in [BOARD["templating"]["list"][0]["query"], *_queries()]:
            assert await connection.fetch(filled_in(query)), query
        candles = await connection.fetch(filled_in(_queries()[0]))
        assert [(one["open"], one["high"], one["low"], one["close"]) for one in candles][-1] == (1, 3, 1, 2)
        with pytest.raises(asyncpg.PostgresError, match="read-only"):
            await connection.execute("DELETE FROM trades")
        await connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM trades")
    finally:
        await connection.close()
        await asyncio.to_thread(server.sql, f'DROP DATABASE "{database}" WITH (FORCE)')
        await asyncio.to_thread(server.sql, f"DROP ROLE {SOURCE['user']}")


def _queries() -> list[str]:
    return [target["rawSql"] for panel in BOARD["panels"] for target in panel.get("targets", ())]


_TRADES = """
INSERT INTO trades (asset, timestamp, venue, id, price, volume, side, sequence_number, late)
SELECT 'btcusdt', date_trunc('minute', now() - interval '2 minutes') + number * interval '1 second', 'kraken',
    number::text, (ARRAY[1, 3, 2])[number], 1, 'buy', NULL, false
FROM generate_series(1, 3) AS number
"""
_PRICES = """
INSERT INTO prices (asset, timestamp, price, unix_time, tier, spread, updated_at, sources, left_out)
VALUES ('btcusdt', now() - interval '1 minute', 1, extract(epoch FROM now()) - 60, 'hot', 0,
    extract(epoch FROM now()) - 59, '[]', '[]')
"""
