"""Clients that openapi-python-client and openapi-typescript make from /openapi.json work, and their types are right."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.parts import generators
from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

SECONDS = 300  # a time limit, not a promise

PYTHON = """
import json, sys
from client import Client
from client.api.history import get_candles, get_history, get_price_at
from client.api.prices import get_price, get_prices, get_sources, refresh
from client.api.service import get_assets
from client.models import NoPriceFound, PriceBody, Refusal

url, end = sys.argv[1], sys.argv[2]
api = Client(base_url=url, raise_on_unexpected_status=True)
price = get_price.sync(asset="BTC-USDT", client=api)
assert isinstance(price, PriceBody) and price.timestamp_iso.timestamp() == price.timestamp, price
refused = get_price.sync(asset="btc", client=api)
assert isinstance(refused, Refusal), refused
several = get_prices.sync(client=api, assets=["btcusdt", "ethusdt", "nosuch"])
print(json.dumps({
    "price": price.to_dict(),
    "refused": refused.to_dict(),
    "several": [one.asset for one in several.prices],
    "missing": [one.to_dict() for one in several.missing],
    "sources": len(get_sources.sync(asset="btcusdt", client=api).sources),
    "history": get_history.sync(asset="btcusdt", client=api, end=end, limit=3).to_dict(),
    "at": get_price_at.sync(asset="btcusdt", client=api, time=end).to_dict(),
    "candles": get_candles.sync(asset="btcusdt", client=api, end=end).to_dict(),
    "assets": get_assets.sync(client=api).to_dict(),
    "refreshed": refresh.sync(asset="ethusdt", client=api).asset,
}))
"""

TYPESCRIPT = """
import type { paths } from "./api.js";

// Three lines instead of TypeScript's library of browsers, which takes a second to read.
declare const process: { argv: string[] };
declare const console: { log(text: string): void };
declare function fetch(url: string): Promise<{ json(): Promise<unknown> }>;
const [url, end] = process.argv.slice(2) as [string, string];

type Answer<Path extends keyof paths, Status extends number> = paths[Path] extends {
  get: { responses: Record<Status, { content: { "application/json": infer Body } }> };
}
  ? Body
  : never;

async function get<Path extends keyof paths, Status extends number>(path: string): Promise<Answer<Path, Status>> {
  return (await (await fetch(url + path)).json()) as Answer<Path, Status>;
}

const price = await get<"/prices/{asset}", 200>("/prices/btcusdt");
const times: number = price.timestamp;
const refused = await get<"/prices/{asset}", 404>("/prices/btc");
const near: string[] | undefined = refused.near;
const code: "asset_not_found" | string = refused.code;
const history = await get<"/prices/{asset}/history", 200>(`/prices/btcusdt/history?limit=3&end=${end}`);
const first: number | string | undefined = history.prices[0]?.price;
console.log(JSON.stringify({ price, refused: { msg: refused.msg, code, near }, history, numbers: [times, first] }));
"""
WRONG = TYPESCRIPT.replace("price.timestamp;", "price.timestmap;")


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service in memory, with three assets and some history."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\nbnbusdt\n")
    shared_market.sound()
    settings = {"symbols_file": folder / "symbols.csv", "hot_interval": 1, "refresh_cooldown": 0}
    running = Service(folder, exchanges=shared_market.setting, **settings).started()
    wait_for(lambda: len(running.get("/prices/btcusdt/history").json["prices"]) > 3, what="history")
    wait_for(lambda: running.get("/prices?assets=btcusdt,ethusdt").json["missing"] == [], what="prices")
    yield running
    assert running.process.stop() == 0


@pytest.fixture(scope="module")
def document(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the service's own document."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(service.get("/openapi.json").body)
    return path


def run(command: Sequence[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its standard output has both streams. The tools of the environment are on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def plain(answer: Any) -> Any:
    """Return a response of ours with floats, as the clients read numbers."""
    return json.loads(json.dumps(answer, default=float))


def test_a_client_in_python(service: Service, document: Path, tmp_path: Path) -> None:
    """It is made without a warning, and its answers are those of the service, refusals included."""
    # The generator knows no lines of JSON and no protobuf: such a body is bytes for it.
    types = {f"application/{kind}": "application/octet-stream" for kind in ("x-ndjson", "x-protobuf")}
    (tmp_path / "config.json").write_text(json.dumps({"content_type_overrides": types}))
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--output-path", "client"]
    made = run([*generator, "--config", "config.json", "--path", document], tmp_path)
    assert (made.returncode, "arning" in made.stdout) == (0, False), made.stdout
    end = service.get("/prices/btcusdt/history?order=asc").json["prices"][2]["timestamp"]
    (tmp_path / "main.py").write_text(PYTHON)
    called = run([sys.executable, "main.py", service.url, end], tmp_path)
    assert called.returncode == 0, called.stdout
    found = json.loads(called.stdout)
    assert list(found["price"]) == list(service.get("/prices/btcusdt").json)
    assert found["refused"] == service.get("/prices/btc").json
    assert (found["several"], found["missing"]) == (
        ["btcusdt", "ethusdt"],
        [{"asset": "nosuch", "reason": "Asset not found"}],
    )
    assert found["sources"] in (2, 3)  # on a busy machine, an exchange may be late for a price
    assert found["refreshed"] == "ethusdt"
    assert found["assets"] == plain(service.get("/assets").json)
    assert [row["price"] for row in found["history"]["prices"]] == [
        row["price"] for row in plain(service.get(f"/prices/btcusdt/history?limit=3&end={end}").json["prices"])
    ]
    assert found["at"]["timestamp"] == float(end)
    assert len(found["candles"]["candles"]) in (1, 2)


@pytest.mark.skipif(bool(generators.missing()), reason=f"{generators.missing()}; see the header")
def test_types_in_typescript(service: Service, document: Path, tmp_path: Path) -> None:
    """A strict program that uses them compiles and runs; one that misspells a field does not compile."""
    (tmp_path / "package.json").write_text('{"type": "module"}')
    made = run([shutil.which("node"), generators.OPENAPI_TYPESCRIPT, document, "--output", "api.ts"], tmp_path)
    assert made.returncode == 0, made.stdout
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022", "--skipLibCheck"]
    (tmp_path / "main.ts").write_text(TYPESCRIPT)
    (tmp_path / "wrong.ts").write_text(WRONG)
    compiled = run([shutil.which("node"), generators.TSC, *options, "main.ts", "wrong.ts"], tmp_path)
    (complaint,) = compiled.stdout.splitlines()  # none about main.ts, and none about api.ts, which is no library
    assert complaint.startswith("wrong.ts(")
    assert "Property 'timestmap' does not exist" in complaint
    end = service.get("/prices/btcusdt/history?order=asc").json["prices"][2]["timestamp"]
    called = run([shutil.which("node"), "main.js", service.url, end], tmp_path)
    assert called.returncode == 0, called.stdout
    found = json.loads(called.stdout)
    assert list(found["price"]) == list(service.get("/prices/btcusdt").json)
    assert found["refused"] == service.get("/prices/btc").json
    assert found["history"] == plain(service.get(f"/prices/btcusdt/history?limit=3&end={end}").json)
