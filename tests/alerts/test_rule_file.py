"""Rules of alerts in a file: what it may have, what is said about mistakes, and that they cannot be deleted by HTTP."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.alerts.rule_book import RuleBook
from aggregator.alerts.rule_file import MOST_FILE_BYTES, InvalidRules, rules_in
from aggregator.alerts.rules import MOST_OF_EVERY_ASSET, Rule
from aggregator.api.app import build
from aggregator.api.events.alerts import AlertRoutes
from aggregator.cli.doctor.checks import Level
from aggregator.cli.doctor.machine import alerts_check
from aggregator.cli.main import main
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED
from aggregator.runtime.attempts import attempt
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.parts.analytics.build_alerts import shared_rules
from aggregator.runtime.parts.analytics.build_analytics import open_event_stores
from aggregator.runtime.process import Process
from aggregator.settings.loader import SettingsError, load
from aggregator.stores.events.memory import MemoryEvents
from tests.parts.asgi import get
from tests.parts.examples import NOW

PRICE = {"asset": "BTCUSDT", "kind": "price", "above": 70000, "outlet": "desk"}
SPREAD = {"asset": "*", "kind": "spread", "above": 1}
ASSETS = {"BTCUSDT": "btcusdt", "btcusdt": "btcusdt"}


def read(*rules: object, created_at: float = NOW) -> list[Rule]:
    """Return the rules of a file with these."""
    return rules_in(json.dumps(rules).encode(), ASSETS.get, ["desk"], created_at)


def test_a_rule_has_the_same_id_in_every_process() -> None:
    """It follows from the fields, however they are written; defaults are filled in as by POST."""
    first, second = read(PRICE, SPREAD)
    assert (first.asset, first.cooldown, str(first.hysteresis), second.asset) == ("btcusdt", 60, "0.1", "*")
    again = read({"asset": "btcusdt", "outlet": "desk", "above": 70000, "kind": "price"}, created_at=NOW + 5)
    assert [one.id for one in again] == [first.id]
    assert first.id != second.id
    assert read() == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "a JSON array of rules"),
        ("{}", "a JSON array of rules"),
        ("[" * 5000, "a JSON array of rules"),
        ('["\udcff"]', "rule 1: it must be a JSON object"),
        (json.dumps([SPREAD, 5]), "rule 2: it must be a JSON object"),
        (json.dumps([SPREAD, PRICE | {"above": -1}]), "rule 2: above and below must be positive"),
        (json.dumps([PRICE | {"asset": "nosuch"}]), "rule 1: asset must be a listed symbol"),
        (json.dumps([PRICE | {"outlet": "ops"}]), "rule 1: outlet must be the name of an outlet of the service"),
        (json.dumps([PRICE | {"colour": "red"}]), "rule 1: a field is unknown"),
        (json.dumps([SPREAD | {"asset": "*" * 9000}]), "rule 1: it is larger than 8192 bytes"),
        (json.dumps([PRICE, SPREAD, PRICE]), "rules 1 and 3 are the same"),
        (
            json.dumps([SPREAD | {"cooldown": one} for one in range(1, MOST_OF_EVERY_ASSET + 2)]),
            "20 for every asset",
        ),
    ],
)
def test_a_mistake_is_named_with_the_number_of_the_rule(raw: str, said: str) -> None:
    """The reason is that of POST /alerts."""
    with pytest.raises(InvalidRules) as error:
        rules_in(raw.encode(errors="surrogateescape"), ASSETS.get, ["desk"], NOW)
    assert said in str(error.value)


async def test_rules_of_the_file_are_listed_and_not_deleted() -> None:
    """They are evaluated from the start, and stay when rules are added and deleted by HTTP."""
    fixed = read(PRICE)
    store = MemoryEvents(86_400, lambda: NOW)
    book = RuleBook(store, 86_400, lambda: NOW, fixed)
    evaluated: list[list[str]] = []
    book.on_change(lambda rules: evaluated.append([one.id for one in rules]))
    app = build(AlertRoutes(catalog_of(load({})), book, store, lambda: NOW).routes(), Metrics(CollectorRegistry()))
    answer = await get(app, f"/alerts/{fixed[0].id}", method="DELETE")
    assert (answer.status, answer.json["code"]) == (409, "rule_of_file")
    added = (await get(app, "/alerts", None, "POST", json.dumps(SPREAD).encode())).json["id"]
    listed = (await get(app, "/alerts")).json["rules"]
    assert {one["id"] for one in listed} == {fixed[0].id, added}
    assert (await get(app, f"/alerts/{added}", method="DELETE")).status == 200
    assert evaluated[0] == evaluated[-1] == [fixed[0].id]


async def started(folder: Path, alerts_file: Path) -> list[Rule]:
    """Return the rules of a process with this file. Raises SettingsError."""
    found = load({"data_dir": str(folder), "alerts_file": str(alerts_file), "outlets": "stdout://?name=desk"})
    async with AsyncExitStack() as stack:
        process = Process(found, catalog_of(found), UNTRACED, stack, asyncio.Event())
        book = shared_rules(process, await open_event_stores(process, attempt))
        assert book is not None
        return book.rules


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_start_with_a_wrong_file_ends_at_once(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with one line and the exit code of wrong settings, before any other part, such as a feed, has started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alerts.json").write_text(json.dumps([SPREAD | {"above": 0}]))
    assert main([command, "--port", "0", "--alerts-file", "alerts.json"]) == 2
    lines = "".join(capfd.readouterr()).splitlines()
    (said,) = [line for line in lines if "symbols_of_the_package" not in line]
    assert said.startswith("aggregator: --alerts-file: alerts.json: rule 1: above must be a number above 0")


async def test_the_doctor_reads_the_file(tmp_path: Path) -> None:
    """It counts the rules of a good file, and names the mistakes of another."""
    path = tmp_path / "alerts.json"
    settings = load({"data_dir": str(tmp_path), "alerts_file": str(path), "outlets": "stdout://?name=desk"})
    path.write_text(json.dumps([PRICE, SPREAD]))
    (found,) = await alerts_check(settings)
    assert (found.level, found.says) == (Level.OK, f"2 rules in {path}")
    path.write_text("{}")
    (found,) = await alerts_check(settings)
    assert found.level is Level.FAIL
    assert "a JSON array of rules" in found.says


async def test_the_setting_names_the_file(tmp_path: Path) -> None:
    """A start with a good file has its rules; one with any other ends with the file, the reason and the setting."""
    path = tmp_path / "alerts.json"
    with pytest.raises(SettingsError, match=r"AGGREGATOR_ALERTS_FILE: cannot read .*alerts\.json: No such file"):
        await started(tmp_path, path)
    path.write_text(json.dumps([PRICE]))
    assert [one.asset for one in await started(tmp_path, path)] == ["btcusdt"]
    path.write_text(json.dumps([PRICE | {"kind": "nosuch"}]))
    with pytest.raises(SettingsError, match=r"AGGREGATOR_ALERTS_FILE: .*alerts\.json: rule 1: kind must be one of "):
        await started(tmp_path, path)
    path.write_bytes(b" " * (MOST_FILE_BYTES + 1))
    with pytest.raises(SettingsError, match=r"alerts\.json is larger than 1 MiB$"):
        await started(tmp_path, path)
    with pytest.raises(SettingsError, match=r"is no regular file$"):
        await started(tmp_path, tmp_path)
