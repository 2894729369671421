"""The one direction of imports, and the one home of each library, read from the source."""

import ast
from pathlib import Path

import pytest

from tests.parts.process import ROOT

PACKAGE = ROOT / "aggregator"

# Each layer may import the layers above it in this list, and nothing else of ours.
LAYERS = [
    ["models", "clock", "version"],
    ["errors", "weights"],
    ["tiers", "pricing", "quorum", "popularity", "candles", "flight", "backoff", "targets", "rejections", "hosts"],
    ["conversion", "liquidity", "tracing", "newest", "redis_url", "history_url"],
    ["ports", "settings", "metrics", "hub", "reader", "logs", "progress", "telemetry"],
    ["coverage", "options", "settings_loader"],
    ["freshness", "commit", "work", "filling", "accesses", "ages"],
    ["ranking", "tally", "fanout"],
    ["publisher"],
    ["exchanges", "stores", "refresher", "lookup", "api", "demo"],
    ["service", "dead_letters"],
    ["doctor"],
    ["__main__"],
]
HOMES = {
    "aiohttp": ["exchanges/connection.py", "exchanges/http.py", "exchanges/push/socket.py"],
    "yarl": ["exchanges/http.py"],
    "aiobreaker": ["exchanges/guard.py"],
    "aiolimiter": ["exchanges/allowance.py"],
    "ccxt": ["exchanges/ccxt.py"],
    "redis": [f"stores/redis/{name}.py" for name in ("client", "cache", "feed", "group", "iam")],
    "aioboto3": ["stores/dynamodb.py", "stores/redis/iam.py"],
    "botocore": ["stores/dynamodb.py", "stores/redis/iam.py"],
    "sqlite3": ["stores/database.py"],
    "uvicorn": [f"service/{name}.py" for name in ("server", "protocol", "socket_protocol", "unread", "at_once")],
    "sse_starlette": ["api/stream.py"],
    "uvloop": ["service/running.py"],
    "pydantic_settings": ["settings.py"],
    "rich": ["progress.py"],
    "psutil": ["metrics/machine.py"],
    "opentelemetry": ["telemetry.py"],
}
PURE = [
    "models",
    "errors",
    "tiers",
    "weights",
    "pricing",
    "conversion",
    "liquidity",
    "quorum",
    "popularity",
    "candles",
    "rejections",
]
PURE_MAY_IMPORT = {
    "aggregator",
    "collections",
    "csv",
    "datetime",
    "decimal",
    "enum",
    "io",
    "msgspec",
    "statistics",
    "typing",
}

FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Return the dotted names a file imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where it goes"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def place(dotted: str) -> str:
    """Return which module or subpackage of ours a dotted name is in."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def layer(name: str) -> int:
    """Return a module's layer."""
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file: Path) -> None:
    """A module imports only layers above its own; siblings do not know each other, but files of one folder may."""
    relative = file.relative_to(PACKAGE)
    own = relative.parts[0].removesuffix(".py")
    if own == "__init__":
        assert not imports(file)
        return
    known = {name for names in LAYERS for name in names}
    for dotted in imports(file):
        target = place(dotted)
        if dotted.split(".")[0] != "aggregator" or target not in known:
            continue
        inside = target == own and len(relative.parts) > 1
        assert inside or layer(target) < layer(own), f"{relative} imports {dotted}"


def test_stores_do_not_know_each_other() -> None:
    """Adapters depend on the seam, never on each other; what some of them are made of is no adapter."""
    parts = {"__init__", "batch_body", "database", "outbox_file"}
    stores = {file.stem for file in (PACKAGE / "stores").glob("*.py")} - parts
    for file in (PACKAGE / "stores").glob("*.py"):
        others = {f"aggregator.stores.{name}" for name in stores - {file.stem}}
        assert not imports(file) & others


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_library_has_one_home(file: Path) -> None:
    """An outside library is imported in one place only."""
    relative = str(file.relative_to(PACKAGE))
    used = {dotted.split(".")[0] for dotted in imports(file)}
    for library, homes in HOMES.items():
        assert library not in used or relative in homes, f"{relative} imports {library}"
    if "starlette" in used:
        assert relative.startswith(("api/", "service/"))
    if "prometheus_client" in used:
        openers = (
            "service/roles.py",
            "service/process.py",
            "service/draining.py",
            "service/record.py",
            "service/symbols.py",
        )
        assert relative.startswith("metrics/") or relative in (*openers, "doctor/stores.py", "doctor/exchanges.py")


@pytest.mark.parametrize("name", PURE)
def test_the_arithmetic_is_pure(name: str) -> None:
    """No clock, no event loop, no logging, and no library but msgspec."""
    used = {dotted.split(".")[0] for dotted in imports(PACKAGE / f"{name}.py")}
    assert used <= PURE_MAY_IMPORT
