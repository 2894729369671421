"""Any request that /openapi.json allows or forbids gets an answer that the document describes.

Schemathesis reads the document from the running service and makes the calls. `CHAOS=full` makes more than 10,000
random calls (a failure prints the seed); without it there are a few hundred, always the same.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
SECONDS = 900  # a time limit for one run in seconds, not a promise
KEY = "new"
ALL_PHASES = "examples,coverage,fuzzing,stateful"
SHORT_PHASES = "examples,coverage"
CSV_PHASES = "examples,coverage,fuzzing"  # the links that stateful testing follows are in JSON
# Rules that the schema can state only in words: assets or a tier but not both, a cursor that was issued, a range
# that is not too long.
NOT_CHECKED = ["positive_data_acceptance"]
# A malformed request may be rejected for its size before it is parsed.
CONFIG = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "408", "413", "414", "429", "431"]
"""
PINNED = '[parameters]\n"path.asset" = "btcusdt"\n'

Report = Callable[[str], None]


class Fuzzing:
    """Runs Schemathesis on one service; its files go to `folder`."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service = service
        self._folder = folder
        self._config = folder / "schemathesis.toml"

    def run(
        self,
        most: int,
        *,
        headers: Sequence[str] = (),
        pinned: bool = True,
        unchecked: Sequence[str] = (),
        phases: str = ALL_PHASES,
    ) -> None:
        """Make calls, `most` per operation and phase; `pinned` uses a listed asset, because random ones give a 404."""
        self._config.write_text(CONFIG + (PINNED if pinned else ""))
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(self._config)]
        command += ["run", f"{self._service.url}/openapi.json", "--continue-on-failure", "--no-color"]
        command += ["--max-examples", str(most), "--phases", phases, "--request-timeout", "60"]
        command += ["--exclude-checks", ",".join([*NOT_CHECKED, *unchecked]), "--warnings", "off"]
        command += [] if FULL else ["--seed", "1"]
        for header in headers:
            command += ["-H", header]
        # A minimal environment: no proxy and no Schemathesis settings from outside.
        around = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "LANG": "C.UTF-8"}
        run = subprocess.run(
            command, cwd=self._folder, env=around, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr

    def statuses(self) -> Counter[int]:
        """Return the number of requests that the service has answered, by status."""
        found: Counter[int] = Counter()
        for status, count in re.findall(
            r'^price_api_requests_total\{.*status="(\d+)"\} (\S+)', self._service.get("/metrics").text, re.MULTILINE
        ):
            found[int(status)] += int(float(count))
        return +found


def start(folder: Path, market: Market, **settings: object) -> Service:
    """Start the service in memory, with three assets that are refreshed every second."""
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\nsolusdt\n")
    chosen = {"exchanges": market.setting, "symbols_file": folder / "symbols.csv", "hot_interval": 1} | settings
    chosen["stream_seconds"] = 0.02  # Schemathesis needs complete responses, so streams must end
    return Service(folder, **chosen).started()


def test_a_sound_service(tmp_path: Path, market: Market, report: Report) -> None:
    """No 5xx; every status, body, header and content type is documented, with a right, a wrong and no API key."""
    service = start(tmp_path, market, api_keys=KEY)
    wait_for(lambda: service.get("/prices/btcusdt/history").json["prices"] != [])
    fuzzing = Fuzzing(service, tmp_path)
    fuzzing.run(190 if FULL else 1, headers=[f"X-API-Key: {KEY}"], phases=ALL_PHASES if FULL else SHORT_PHASES)
    if FULL:
        fuzzing.run(165, pinned=False)
        fuzzing.run(85, headers=["Accept: text/csv", "Authorization: Bearer wrong"], phases=CSV_PHASES)
    else:  # tests/api/ has what is documented of these
        assert service.post("/refresh/btcusdt").status == 401
        assert service.post("/refresh/btcusdt", {"Authorization": "Bearer wrong"}).status == 403
    statuses = fuzzing.statuses()
    report(f"fuzzing a sound service: {statuses.total()} requests; {dict(sorted(statuses.items()))}")
    assert {200, 400, 401, 403, 404, 405} <= set(statuses)
    assert max(statuses) < 500
    assert statuses.total() > (10_000 if FULL else 300)
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.output


@pytest.mark.long
def test_while_no_exchange_answers(tmp_path: Path, market: Market, report: Report) -> None:
    """While no exchange answers, the only 5xx are 502 and 503, as documented."""
    for exchange in market.exchanges.values():
        exchange.faults(error_rate=1)
    service = start(tmp_path, market)
    fuzzing = Fuzzing(service, tmp_path)
    fuzzing.run(20, unchecked=["not_a_server_error"])
    statuses = fuzzing.statuses()
    report(f"fuzzing without exchanges: {statuses.total()} requests; {dict(sorted(statuses.items()))}")
    assert {status for status in statuses if status >= 500} == {502, 503}
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.output
