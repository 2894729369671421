"""The worker's state: what it scores, keeps and saves."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aggregator.anomalies.detector import Detector
from aggregator.anomalies.fit_queue import FIRST, REFIT
from aggregator.anomalies.messages import AssetState, Batch, Finding
from aggregator.anomalies.model_files import ModelFiles
from aggregator.anomalies.sample import SIZE
from tests.anomalies.parts import batch_of
from tests.anomalies.test_forest import samples

ODD = [1e6, 1e6, 50.0, 60.0, 0.9, 9000.0]
ROWS = samples(3, FIRST).tolist()


def detector(folder: Path, *names: str) -> Detector:
    """Return a detector that may fit all the time, which has loaded these assets."""
    one = Detector(ModelFiles(folder), 1e9)
    one.handle(Batch([*names], [], [*range(len(names))]))
    return one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a model that a detector has fitted, since a fit takes a second of CPU."""
    folder = tmp_path_factory.mktemp("fitted")
    one = detector(folder, "btcusdt")
    one.handle(batch_of(ROWS))
    assert one.fit_next() == ""
    return folder / "btcusdt.npz"


@pytest.fixture
def fitted(model: Path, tmp_path: Path) -> Detector:
    """Return a detector with a model of one asset in its folder."""
    shutil.copy(model, tmp_path)
    return detector(tmp_path, "btcusdt")


def rows_of(findings: Sequence[Finding]) -> list[int]:
    """Return the rows of findings."""
    return [one.row for one in findings]


def test_the_first_model_needs_a_thousand_samples(tmp_path: Path) -> None:
    """Until then nothing is found; then what is far from the samples is."""
    one = detector(tmp_path, "btcusdt")
    assert one.handle(batch_of([*ROWS[: FIRST - 2], ODD])).findings == []
    assert one.pause() is None
    assert one.handle(batch_of([ROWS[-1]], FIRST)).states == {0: AssetState(FIRST, "")}
    assert one.fit_next() == ""
    reply = one.handle(batch_of([ROWS[0], ODD], FIRST + 1))
    assert rows_of(reply.findings) == [1]
    assert reply.findings[0].score < reply.findings[0].threshold
    assert reply.findings[0].version == reply.states[0].version
    figures = reply.figures
    assert (figures.scored, figures.fits, figures.fit_failures, figures.models) == (2, 1, 0, 1)
    assert figures.fit_seconds > 0


def test_a_model_is_fitted_again_after_five_hundred_samples(tmp_path: Path) -> None:
    """And once a minute at most."""
    now = [0.0]
    one = Detector(ModelFiles(tmp_path), 1e9, clock=lambda: now[0])
    one.handle(Batch(["btcusdt"]))
    one.handle(batch_of(ROWS))
    one.fit_next()
    first = one.handle(Batch()).states[0].version
    one.handle(batch_of(ROWS[: REFIT - 1], FIRST))
    assert one.pause() is None
    one.handle(batch_of([ROWS[-1]], 2 * FIRST))
    assert one.pause() == 60
    now[0] = 60.0
    assert one.fit_next() == ""
    second = one.handle(Batch()).states[0].version
    assert (first[:2], second[:2]) == ("1-", "2-")


def test_a_restart_continues_with_the_saved_model(tmp_path: Path) -> None:
    """With the same scores; without having been closed, as after a kill."""
    one = detector(tmp_path, "btcusdt")
    one.handle(batch_of(ROWS))
    assert one.fit_next() == ""
    before = one.handle(batch_of([ODD], FIRST)).findings
    again = detector(tmp_path, "btcusdt")
    assert again.handle(batch_of([ODD], FIRST)).findings == before
    assert before


def test_trades_that_are_measured_again_are_taken_once(fitted: Detector, tmp_path: Path) -> None:
    """Up to the newest kept one they are left out; those behind it get the score that they had."""
    found = fitted.handle(batch_of([ODD, ODD], FIRST)).findings
    again = detector(tmp_path, "btcusdt")
    reply = again.handle(batch_of([ODD, ODD, ODD], FIRST - 1, live=False))
    assert rows_of(reply.findings) == [1, 2]
    assert [one.score for one in reply.findings] == [one.score for one in found]
    assert again.handle(batch_of([ODD, ODD, ODD], FIRST - 1, live=False)).findings == []


def test_close_saves_samples_without_a_model(tmp_path: Path) -> None:
    """A restart does not begin the warm-up anew."""
    one = detector(tmp_path, "btcusdt", "ethusdt")
    one.handle(batch_of(ROWS[: FIRST - 1]))
    one.close()
    again = Detector(ModelFiles(tmp_path), 1e9)
    states = again.handle(Batch(["btcusdt", "ethusdt"], [], [0, 1])).states
    assert states == {0: AssetState(FIRST - 1, "")}
    again.handle(batch_of([ROWS[-1]], FIRST))
    assert again.pause() == 0


def test_a_forgotten_asset_is_loaded_from_its_file(fitted: Detector) -> None:
    """And without that it has no model and no samples."""
    one = fitted
    assert one.handle(Batch(forget=[0])).states == {0: AssetState(0, "")}
    assert one.handle(batch_of([ODD], FIRST)).findings == []
    reply = one.handle(Batch(forget=[0], load=[0]))
    assert reply.states[0].version.startswith("1-")
    assert reply.figures.models == 1


def test_samples_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    """They would spoil the fit."""
    one = detector(tmp_path, "btcusdt")
    bad = [float("inf"), *ROWS[0][1:]]
    assert one.handle(batch_of([bad, ROWS[0], [float("nan")] * SIZE])).states == {0: AssetState(1, "")}


def test_a_fit_that_fails_waits_for_new_samples(tmp_path: Path) -> None:
    """Here the folder cannot be written; the model is then not used either."""
    (tmp_path / "file").write_text("in the way")
    one = detector(tmp_path / "file", "btcusdt")
    one.handle(batch_of(ROWS))
    assert one.fit_next().startswith("btcusdt: ")
    reply = one.handle(Batch())
    assert (reply.figures.fit_failures, reply.figures.models) == (1, 0)
    assert one.pause() is None


@pytest.mark.parametrize("damage", ["empty", "cut", "pickle", "huge", "other_version", "wild_record", "other_asset"])
def test_files_that_are_not_ours(model: Path, tmp_path: Path, damage: str) -> None:
    """They are not read, and the next fit replaces them."""
    path = Path(shutil.copy(model, tmp_path))
    with np.load(path) as arrays:
        content = dict(arrays)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-500])
    elif damage == "pickle":
        np.savez(path, **content | {"samples": np.array([{"a": 1}], dtype=object)})
    elif damage == "huge":
        path.write_bytes(bytes(2 << 20))
    elif damage == "other_version":
        header = content["header"].tobytes().replace(b'"format":1', b'"format":0')
        np.savez(path, **content | {"header": np.frombuffer(header, np.uint8)})
    elif damage == "wild_record":
        content["records"].view(np.int32)[1] = 1 << 30
        np.savez(path, **content)
    else:
        path.rename(tmp_path / "ethusdt.npz")
    name = "ethusdt" if damage == "other_asset" else "btcusdt"
    one = Detector(ModelFiles(tmp_path), 1e9)
    assert one.handle(Batch([name], [], [0])).states == {}
    one.handle(batch_of(ROWS))
    assert one.fit_next() == ""
    assert detector(tmp_path, name).handle(batch_of([ODD], FIRST)).findings
