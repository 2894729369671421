"""With random faults in any part, prices never go back in time, all are in history, and no answer is a 500.

The seed of the faults is printed; CHAOS_SEED repeats it. `CHAOS=full` runs each deployment for 200 s, the suite
the one with most kinds of processes for 10 s.
"""

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aggregator.prices.tiers import Cadence
from mock_exchange.symbols import open_market
from tests.chaos import checker
from tests.chaos.checker import Violation
from tests.chaos.client_pool import ClientPool, Load
from tests.chaos.deployments import Deployment
from tests.chaos.faults import FaultInjector, Pace
from tests.chaos.members import Supervisor
from tests.chaos.parts import DurableDynamo
from tests.chaos.recorder import PUBLISHED, PUSHED, STORED, Record
from tests.chaos.truth import Truth
from tests.parts import redis_server
from tests.parts.exchanges import NAMES, Market, MockExchange
from tests.parts.ports import lasting_port
from tests.parts.process import ROOT, wait_for

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
SECONDS = float(os.environ.get("CHAOS_SECONDS", "200" if FULL else "10"))
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
PACE = Pace() if FULL else Pace(lasts=(0.5, 2.0), rests=(0.2, 1.5), up=(2.0, 4.0))

ASSETS = 24
INTERVALS = {"hot": 1.0, "medium": 2.0, "cold": 4.0}
SETTINGS: dict[str, object] = {
    **{f"{tier}_interval": seconds for tier, seconds in INTERVALS.items()},
    "hot_size": 8,
    "medium_size": 8,
    "exchange_timeout": 1,
    "refresh_cooldown": 0,
    "refresh_rate": 1000,
}
SEVERAL_REFRESHERS = "roles"
KINDS = {STORED, PUBLISHED, "one", "refresh", *PUSHED}
PATIENCE = 60.0  # seconds
HISTORIES = {"one": "dynamodb", "workers": "sqlite", "roles": "dynamodb"}
LOADS = {
    "one": Load(readers=8),
    "workers": Load(readers=12, streams=4, sockets=4),
    "roles": Load(readers=5, reads=15 if FULL else 5),
}


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a short symbols file, whose assets are refreshed and read more often for it."""
    file = tmp_path_factory.mktemp("listed") / "symbols.csv"
    file.write_text("\n".join((ROOT / "symbols.csv").read_text().splitlines()[: 1 + ASSETS]))
    return file


@pytest.fixture(scope="module")
def shared_exchanges(listed: Path) -> Iterator[Market]:
    """Run exchanges on ports that stay free while an exchange is down."""
    market = Market([MockExchange(name, lasting_port(), listed) for name in NAMES])
    yield market
    for exchange in market.exchanges.values():
        exchange.stop()


@pytest.mark.parametrize("name", [*(pytest.param(one, marks=pytest.mark.long) for one in ("one", "workers")), "roles"])
def test_all_faults_in_random_order(
    name: str,
    tmp_path: Path,
    listed: Path,
    shared_exchanges: Market,
    request: pytest.FixtureRequest,
    report: Callable[[str], None],
) -> None:
    """checker.py has the rules that must hold."""
    if redis_server.binary() is None:
        pytest.skip("no redis-server here; see the header")
    history = os.environ.get("CHAOS_HISTORY", HISTORIES[name])
    dynamodb: DurableDynamo | None = request.getfixturevalue("durable_dynamodb") if history == "dynamodb" else None
    shared_exchanges.sound()
    record = Record()
    table = f"prices-{uuid.uuid4()}"
    deployment = Deployment(name, tmp_path, shared_exchanges, dynamodb, table, listed, record, SETTINGS)
    try:
        violations = _played(deployment, listed)
    finally:
        deployment.close()
        record.save(Path(os.environ.get("CHAOS_RECORD", tmp_path)) / f"chaos-{name}-{SEED}.record")
    report(f"{name} on {history}, seed {SEED}: {_figures(record)}; {len(violations)} violations")
    assert not violations, f"CHAOS_SEED={SEED}\n{checker.summed_up(violations, record.faults)}"


def _played(deployment: Deployment, listed: Path) -> list[Violation]:
    """Start the deployment, inject faults while clients read, and return the record."""
    record = deployment.record
    deployment.start()
    assets = [line.split(",")[0] for line in listed.read_text().splitlines()[1:]]
    clients = ClientPool(deployment.answering, assets, deployment.redis.url, record, LOADS[deployment.name], SEED)
    with clients, Supervisor(deployment.members):
        FaultInjector(deployment, SEED, SECONDS, PACE).run()
        deployment.wait_until_well(time.time())
        # On a busy machine some client may not have been answered yet: a check without clients would show nothing.
        wait_for(lambda: {one.kind for one in record.seen} >= KINDS, PATIENCE, "an answer to a client of each kind")
    held = deployment.history()
    truth = Truth(open_market(0, listed), NAMES, {tier: Cadence(seconds) for tier, seconds in INTERVALS.items()})
    tiers = ["hot"] * 8 + ["medium"] * 8 + ["cold"] * 8
    windows = {asset: truth.cadence[tier].max_age for asset, tier in zip(assets, tiers, strict=True)}
    missing = checker.not_in_history(record.seen, held)
    if deployment.name == SEVERAL_REFRESHERS:
        record.replaced = sum(one.rule == "replaced" for one in missing)
        missing = [one for one in missing if one.rule != "replaced"]
    return [
        *checker.back_in_time(record.seen),
        *missing,
        *checker.bad_replies(record.replies, record.faults),
        *checker.ended(record),
        *(Violation("traceback", 0.0, text) for text in deployment.tracebacks()),
        *checker.untrue(record.seen, truth, windows),
    ]


def _figures(record: Record) -> str:
    pushed = sum(one.kind in PUSHED for one in record.seen)
    published = sum(one.kind == PUBLISHED for one in record.seen)
    statuses = ", ".join(
        f"{sum(one.status == status for one in record.replies)} x {status}"
        for status in sorted({one.status for one in record.replies})
    )
    return (
        f"{len(record.faults)} faults, {len(record.replies)} answers ({statuses}), {pushed} prices streamed,"
        f" {published} published, older than at another process {checker.cross_process_lag(record.seen)},"
        f" {record.replaced} replaced by another refresher's of the same time, {record.refused_starts} starts refused"
    )
