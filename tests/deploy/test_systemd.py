"""deploy/systemd: systemd accepts the unit, and it agrees with the settings."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from aggregator.settings import PREFIX, Settings
from tests.parts.process import ROOT

UNIT = ROOT / "deploy/systemd/aggregator.service"
ANALYZE = shutil.which("systemd-analyze")
_MOST_EXPOSED = 2.0  # of 10, by systemd's own count


def section() -> configparser.SectionProxy:
    """Return the settings of [Service]; of a key that comes twice the last."""
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keys keep their case
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def test_the_unit_agrees_with_the_service() -> None:
    """Its variables are settings, its files are in the state folder, and it waits for a stop as long as the service."""
    unit = section()
    variables = re.findall(rf"{PREFIX}(\w+)=(\S+)", unit["Environment"])
    assert variables == [("DATA_DIR", "/var/lib/" + unit["StateDirectory"])]
    assert all(name.lower() in Settings.model_fields for name, _ in variables)
    assert unit["ExecStart"].endswith("/aggregator serve")
    assert unit["RestartPreventExitStatus"] == "2"  # wrong settings
    assert int(unit["LimitNOFILE"]) * 3 / 4 > Settings.model_fields["max_connections"].default
    assert unit["Type"] == "notify"
    assert "WatchdogSec" not in unit  # the service sends no WATCHDOG=1


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here: nobody has verified the unit")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` reports nothing, and `security` counts little that the service may do."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/aggregator/bin/aggregator", "/bin/true"))
    verify = [str(ANALYZE), "verify", "--man=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    count = [str(ANALYZE), "security", "--offline=true", f"--threshold={_MOST_EXPOSED * 10:.0f}", str(unit)]
    assert subprocess.run(count, capture_output=True, check=False, timeout=60).returncode == 0
