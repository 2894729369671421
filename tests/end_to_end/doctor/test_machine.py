"""`aggregator doctor` on this machine: settings, the symbols file, the port, open files and the clock."""

import socket
from pathlib import Path

import pytest

from aggregator.cli.doctor.checks import Context, Level
from aggregator.cli.doctor.machine import clock_check
from tests.end_to_end.doctor.report import Report, run_doctor
from tests.parts.exchanges import Market
from tests.parts.service import Service

pytestmark = pytest.mark.real


def test_wrong_settings(healthy: dict[str, object]) -> None:
    """One line for every mistake, exit code 2, and no other check runs."""
    report = Report(run_doctor(**healthy | {"hot_interval": "soon", "cache_url": "redis://:hush@:x", "pinnd": "a"}))
    assert report.code == 2
    assert report.problems() == {"settings": "fail"}
    assert len(report.checks) == 3
    assert "hush" not in report.text


def test_open_without_keys(healthy: dict[str, object]) -> None:
    """An open address without keys is a warning, exit code 1; with a key it is not, and the key is not shown."""
    report = Report(run_doctor(**healthy, host="0.0.0.0"))  # noqa: S104  # only while the check runs
    assert (report.code, report.problems()) == (1, {"settings": "warn"})
    assert "AGGREGATOR_API_KEYS" in report.finding("settings")[1]
    report = Report(run_doctor(**healthy, host="0.0.0.0", api_keys="hush-hush"))  # noqa: S104  # only the check of the setting is tested
    assert report.code == 0
    assert "hush" not in report.text


def test_all_exchanges_needed(healthy: dict[str, object]) -> None:
    """A warning, as the failure of one exchange would stop every price."""
    assert Report(run_doctor(**healthy, min_sources=3)).problems() == {"settings": "warn"}


def test_symbols_missing(healthy: dict[str, object], tmp_path: Path) -> None:
    """A missing symbols file is a failure; the exchanges are checked all the same."""
    report = Report(run_doctor(**healthy | {"symbols_file": tmp_path / "none.csv"}))
    assert (report.code, report.problems()) == (2, {"symbols": "fail"})
    assert "--symbols-file" in report.finding("symbols")[1]


def test_a_check_that_hangs_is_given_up(healthy: dict[str, object], market: Market) -> None:
    """An exchange that does not answer delays neither the other checks nor the end."""
    market.exchanges["exchange2"].faults(hang_rate=1)
    report = Report(run_doctor(**healthy | {"exchange_timeout": 30}, seconds=10))
    assert (report.code, report.problems()) == (2, {"exchange exchange2": "fail"})
    assert "no answer within 10 s" in report.finding("exchange exchange2")[1]


def test_port_taken(healthy: dict[str, object]) -> None:
    """A failure, if another program listens there."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        report = Report(run_doctor(**healthy | {"port": other.getsockname()[1]}))
    assert (report.code, report.problems()) == (2, {"port": "fail"})
    assert "--port" in report.finding("port")[1]


def test_port_taken_by_the_service(healthy: dict[str, object], tmp_path: Path) -> None:
    """Beside a running service, its own port is no finding."""
    service = Service(tmp_path, **healthy).started()
    report = Report(run_doctor(**healthy | {"port": service.url.rpartition(":")[2]}))
    service.process.stop()
    assert report.problems() == {}, report.text


def test_few_open_files(healthy: dict[str, object]) -> None:
    """A limit below the number of connections is a warning with the limit to set."""
    report = Report(run_doctor("sh", "-c", 'ulimit -n 512 && exec "$@"', "sh", **healthy))
    assert (report.code, report.problems()) == (1, {"files": "warn"})
    assert "ulimit -n 13334" in report.finding("files")[1]


@pytest.mark.parametrize(
    ("ahead", "level"), [([], "warn"), ([0.2, -0.1, 0.1], "ok"), ([2.0, 2.1], "warn"), ([-7.0, -7.1, 0.0], "fail")]
)
async def test_clock(ahead: list[float], level: str) -> None:
    """The clock is compared with the median of the others, of which one may be wrong."""
    (found,) = await clock_check(Context(clock_offsets=ahead))
    assert found.level is Level(level)


def test_a_missing_folder(healthy: dict[str, object], tmp_path: Path) -> None:
    """One warning names the folder; its files are tried in it as `serve` makes it, and it is removed again."""
    folder = tmp_path / "missing" / "data"
    files = ("history_url", "trades_url", "events_url", "data_dir")
    others = {name: value for name, value in healthy.items() if name not in files}
    report = Report(run_doctor(**others, data_dir=folder))
    assert (report.code, report.problems()) == (1, {"folder": "warn"}), report.text
    assert report.finding("folder")[1].startswith(f"{folder} does not exist; `serve` makes it; check AGGREGATOR_DATA")
    assert not (tmp_path / "missing").exists()


def test_a_folder_that_cannot_be_made(healthy: dict[str, object], tmp_path: Path) -> None:
    """The failure names the folder and the setting, once."""
    (tmp_path / "file").touch()
    report = Report(run_doctor(**healthy | {"data_dir": tmp_path / "file" / "data"}))
    assert (report.code, report.problems()) == (2, {"folder": "fail"}), report.text
    assert report.finding("folder")[1].endswith("choose another AGGREGATOR_DATA_DIR")
