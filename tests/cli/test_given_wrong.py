"""Errors of commands: the folder that is missing, and the names of settings as they were given."""

from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from aggregator.cli.main import main
from aggregator.errors import in_words


@pytest.mark.parametrize("command", [["sql", "select 1"], ["archive", "verify"], ["drain"]])
def test_a_folder_that_is_missing(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that reads the files of the service does not answer as if there were none."""
    assert main([*command, "--data-dir", f"{tmp_path}/nosuch"]) == 2
    assert capsys.readouterr().err == f"aggregator: --data-dir {tmp_path}/nosuch: there is no such folder\n"


def test_a_folder_that_is_missing_as_a_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable."""
    monkeypatch.setenv("AGGREGATOR_DATA_DIR", f"{tmp_path}/nosuch")
    assert main(["sql", "select 1"]) == 2
    assert capsys.readouterr().err == f"aggregator: AGGREGATOR_DATA_DIR={tmp_path}/nosuch: there is no such folder\n"


@pytest.mark.parametrize("action", ["list", "verify"])
def test_an_archive_that_is_missing(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is no empty archive, and is not made."""
    assert main(["archive", action, "--from", f"{tmp_path}/nosuch", "--data-dir", f"{tmp_path}"]) == 1
    assert capsys.readouterr().err == f"aggregator: there is no folder {tmp_path}/nosuch; name another with --from\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_flag_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An error at the start of the service names the flag, too."""
    (tmp_path / "in-the-way").touch()
    flags = ["--port", "0", "--data-dir", f"{tmp_path}", "--alerts-file", f"{tmp_path}/in-the-way"]
    assert main(["serve", *flags]) == 2
    assert capsys.readouterr().err.startswith("aggregator: --alerts-file: ")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (KeyError("Items"), "an answer that cannot be read (KeyError: 'Items')"),
        (ValueError("Invalid endpoint: x"), "Invalid endpoint: x"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_error_of_a_library_in_words(error: Exception, words: str) -> None:
    """The message of a library's error stands without the name and the arguments of its class."""
    assert in_words(error) == words


def test_the_error_of_a_library_that_has_the_endpoint() -> None:
    """The error of an endpoint that refuses is a sentence."""
    found = EndpointConnectionError(endpoint_url="http://127.0.0.1:1/")
    assert in_words(found) == 'Could not connect to the endpoint URL: "http://127.0.0.1:1/"'


def test_no_dead_letters_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no file is, one sentence names all four, and the folder of the demo."""
    assert main(["dead-letters", "list", "--data-dir", f"{tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("aggregator: there is no outbox and no file of dead letters at ")
    assert error.endswith("name their folder with --data-dir (that of the demo: --data-dir data)\n")


def test_a_log_of_trades_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is named as missing, also where its name tells no format."""
    assert main(["replay", f"{tmp_path}/nosuch"]) == 2
    assert capsys.readouterr().err == f"aggregator: cannot read {tmp_path}/nosuch: No such file or directory\n"
