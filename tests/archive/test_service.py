"""The service archives what is sent to it, and `aggregator archive` shows and verifies it."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from tests.archive.parts import archived
from tests.parts.commands import run_command
from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.service import Service, call, environment_of

pytestmark = pytest.mark.real


def sent(number: int, at: float) -> dict[str, object]:
    """Return a trade as clients send it."""
    return {"asset": "btcusdt", "price": 100 + number, "volume": 1, "timestamp": at, "venue": "okx", "id": f"t{number}"}


def accepted(service: Service, trades: Sequence[object]) -> object:
    """Send trades; return how many the service has accepted."""
    body = json.dumps(trades).encode()
    return call("POST", f"{service.url}/ingest", {"content-type": "application/json"}, body).json["accepted"]


def test_trades_of_the_service(tmp_path: Path, market: Market) -> None:
    """Trades of ten minutes ago are archived at once, those of now and features at the stop; harm is found."""
    lake = tmp_path / "lake"
    settings: dict[str, object] = {"archive_url": f"file://{lake}", "exchanges": market.setting}
    service = Service(tmp_path, **settings).started()
    at = time.time() - 600
    assert accepted(service, [sent(number, at + number / 1000) for number in range(50)]) == 50
    wait_for(lambda: 'archive_rows_total{dataset="trades"} 50.0' in service.get("/metrics").text)
    assert not [one for one in service.get("/ready").json["reasons"] if one.startswith("archive")]
    environment = environment_of(tmp_path, settings)
    listed = run_command("archive", environment=environment)
    assert (listed.returncode, listed.stdout.split()[5:9:3]) == (0, ["trades", "50"]), listed
    verified = run_command("archive", "verify", environment=environment)
    assert (verified.returncode, "agree" in verified.stdout) == (0, True), verified
    assert accepted(service, [sent(50, time.time())]) == 1
    assert service.process.stop() == 0
    assert [row[-1] for row in archived(lake)] == [f"t{number}" for number in range(51)]
    closes = "SELECT max(trade_frequency) AS trades, max(timestamp) > now() - INTERVAL 2 MINUTE AS new FROM features"
    features = run_command("sql", closes, "--format", "csv", environment=environment)
    assert features.stdout == "trades,new\n50,true\n", features
    agreed = run_command("archive", "verify", environment=environment)
    assert (agreed.returncode, "not compared" in agreed.stdout) == (0, False), agreed
    (file, *_) = sorted(lake.rglob("trades/**/*.parquet"))
    file.unlink()
    harmed = run_command("archive", "verify", environment=environment)
    assert harmed.returncode == 1
    assert f"{file.name} is in the manifest and is not there" in harmed.stdout


def test_what_the_command_refuses(tmp_path: Path) -> None:
    """No archive, a wrong address, and a file in place of a folder."""
    (tmp_path / "file").write_text("")
    environment = environment_of(tmp_path, {})
    for url, problem in (
        ("", "or give --from (the files of the demo: --data-dir data --archive-url data/lake)"),
        ("ftp://lake", "must be file://lake or s3://"),
        ("s3://bucket?colour=red", "takes region and endpoint"),
        (str(tmp_path / "file"), "there is no folder"),
    ):
        found = run_command("archive", "list", f"--from={url}", environment=environment)
        assert found.returncode == 1
        assert problem in found.stderr
