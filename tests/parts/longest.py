"""The order of test files for processes of pytest that share a run: the longest first, tests without processes last.

A long file that starts last would leave the other processes idle. The short files without processes fill the end.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.parts.process import ROOT

# Files that take longer than 15 s, the longest first. Files that keep a core busy alternate with files that mostly
# wait, because the tests of outages fall behind beside too many busy files.
LONGEST = (
    "end_to_end/test_planted.py",
    "page/test_page.py",
    "end_to_end/test_processors.py",
    "end_to_end/test_overload.py",
    "end_to_end/test_clock.py",
    "end_to_end/test_workers_start_and_stop.py",
    "deploy/test_watched.py",
    "end_to_end/test_roles.py",
    "chaos/test_deployments.py",
    "trades/event_log/test_rebalance.py",
    "page/test_troubles.py",
    "end_to_end/test_rejections.py",
    "chaos/test_history.py",
    "end_to_end/test_store_pauses.py",
    "page/test_choices.py",
    "chaos/test_prices.py",
    "chaos/test_outlet_outages.py",
    "chaos/test_outlets.py",
    "terraform/test_plan.py",
    "end_to_end/test_shared_trades.py",
    "api/test_generated_clients.py",
    "end_to_end/doctor/test_kinesis.py",
    "end_to_end/doctor/test_trades.py",
    "chaos/test_fuzzing.py",
    "end_to_end/test_start_and_stop.py",
    "stores/test_contract.py",
    "end_to_end/test_prices.py",
    "page/test_events.py",
    "exchanges/hostile/test_bounds.py",
    "end_to_end/test_kinesis.py",
    "page/test_trades.py",
    "outlets/receivers/test_sqs.py",
    "stores/test_dynamodb.py",
    "exchanges/test_ccxt.py",
    "newsfeeds/test_rss.py",
    "end_to_end/test_exchanges.py",
    "end_to_end/test_workers.py",
    "end_to_end/doctor/test_history.py",
    "deploy/test_watched_trades.py",
    "chaos/test_kafka.py",
    "chaos/test_crowds.py",
    "deploy/test_watched_signals.py",
    "docs/test_guide_site.py",
    "docs/test_tutorial.py",
    "end_to_end/test_traces.py",
    "end_to_end/test_healing.py",
    "stores/test_postgres.py",
    "chaos/test_trades.py",
    "cli/produce/test_produce.py",
    "runtime/test_trade_reader.py",
    "end_to_end/doctor/test_exchanges.py",
    "archive/storages/test_s3.py",
    "chaos/test_ingest_streams.py",
    "end_to_end/test_streams.py",
    "end_to_end/test_drain.py",
    "chaos/test_ingest_fuzzing.py",
    "page/test_policy.py",
    "page/test_other_sites.py",
    "end_to_end/test_refused_starts.py",
    "page/test_taken_in_trades.py",
    "deploy/test_package.py",
    "end_to_end/doctor/test_machine.py",
    "end_to_end/test_replay.py",
    "page/test_day_figures.py",
    "end_to_end/test_pushed_prices.py",
    "load/test_load.py",
    "bench/test_bench.py",
    "end_to_end/test_monotonic.py",
    "docs/test_examples.py",
)


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the items with the longest files first; files and tests within a file keep their order otherwise."""
    items = list(items)
    real = {item.path for item in items if item.get_closest_marker("real")}
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}

    def key(item: pytest.Item) -> tuple[int, int]:
        path: Path = item.path
        return (path not in real, place.get(path, len(place)))

    return sorted(items, key=key)
