"""`aggregator sql` and `archive verify` over an archive and hot stores in PostgreSQL."""

import json
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from tests.archive.sql_scene import ASSETS, SPAN, make_scene
from tests.parts.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.real


def test_postgresql(
    postgres_running: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each row of archive and database counts once, and the database has only what no file has."""
    monkeypatch.setenv("AGGREGATOR_POSTGRES_PASSWORD", PASSWORD.get_secret_value())
    scene = make_scene(tmp_path, postgres_running.url(postgres_running.new_database()))
    capsys.readouterr()

    def ask(query: str) -> object:
        assert scene.sql(query, "--format", "json") == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    assert ask("SELECT count(*) AS n, count(DISTINCT (asset, id)) AS keys FROM trades") == [
        {"n": len(scene.trades), "keys": len(scene.trades)}
    ]
    since = f"WHERE timestamp >= to_timestamp({scene.archived})"
    hot = [one for one in scene.trades if one.timestamp >= scene.archived]
    assert ask(f"SELECT count(*) AS n FROM trades {since}") == [{"n": len(hot)}]  # noqa: S608  # of constants
    assert ask("SELECT count(*) AS n FROM prices") == [{"n": SPAN // 60 * len(ASSETS)}]
    for view in ("anomalies", "signals", "sentiment"):
        assert ask(f"SELECT count(*) AS n FROM {view}") == [{"n": 2}]  # noqa: S608  # our own views
    assert scene.run("archive", "verify", f"--archive-path={tmp_path}/archive.db") == 1
    told = capsys.readouterr().out
    assert all(f"\n{name}/year=" in f"\n{told}" for name in ("trades", "prices", "anomalies")), told
    assert scene.sql("DELETE FROM trades") == 1
    assert "only SELECT is allowed" in capsys.readouterr().err
