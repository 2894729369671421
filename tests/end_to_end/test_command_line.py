"""The installed command: its version, its environment, and how much history the demo keeps."""

import asyncio
import time
import tomllib
from pathlib import Path

import pytest

from aggregator.stores.sqlite import SqliteHistory
from tests.parts.examples import price
from tests.parts.exchanges import Market
from tests.parts.process import ROOT, wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real


def test_the_version(tmp_path: Path) -> None:
    """`--version` prints the project's version."""
    service = Service(tmp_path, "--version")
    assert service.process.ended() == 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert service.process.output == f"aggregator {project['version']}\n"


def test_a_service_of_kubernetes_of_the_same_name(tmp_path: Path, market: Market) -> None:
    """Variables that Kubernetes sets for a service named `aggregator` do not stop the start; the log names them."""
    service = Service(tmp_path, "serve", "--port", "0", exchanges=market.setting, port="tcp://10.0.0.1:8080")
    service.process.wait_for_line("variables_of_kubernetes_ignored.*AGGREGATOR_PORT")
    service.started()
    assert service.process.stop() == 0


@pytest.mark.parametrize(("settings", "days"), [({}, 1), ({"retention_days": 3}, 3)])
def test_the_demo_keeps_a_day(tmp_path: Path, settings: dict[str, object], days: int) -> None:
    """The demo keeps one day of history by default: older prices are deleted soon after the start."""
    now = time.time()
    ages = {"btcusdt": 0.9, "ethusdt": 1.1, "solusdt": 3.1}

    async def write() -> None:
        history = SqliteHistory(tmp_path / "prices.db")
        await history.open()
        await history.write([price(asset, now - 86_400 * age) for asset, age in ages.items()])
        await history.close()

    asyncio.run(write())
    demo = Service(tmp_path, "demo", "--mock-port", "0", **settings).started()
    kept = [asset for asset, age in ages.items() if age < days]

    def found() -> list[str]:
        pages = {asset: demo.get(f"/prices/{asset}/history?end={now - 3600:.0f}").json["prices"] for asset in ages}
        return [asset for asset, prices in pages.items() if prices]

    wait_for(lambda: found() == kept, what=f"only {kept} left")
    assert demo.process.stop() == 0
