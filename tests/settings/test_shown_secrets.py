"""Secrets on a command line, which the list of processes shows: a token is refused, others are named in a warning."""

import pytest

from aggregator.cli.command import start
from aggregator.cli.main import main
from aggregator.settings.loader import SettingsError, load

TOKEN = "hunter2hunter2"  # noqa: S105  # of this test
SHOWN = [
    f"https://hooks.example/x?token={TOKEN}",
    f"https://hooks.example/services/T01/{TOKEN}?topics=alerts",
    f"https://hooks.example/{'x' * 24}",
    f"stdout://?name=a;https://hooks.example/x?{TOKEN}",
]


@pytest.mark.parametrize("outlets", SHOWN)
def test_a_token_on_the_command_line_is_refused(outlets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has no part of it, and names the variable, in which it is allowed."""
    with pytest.raises(SettingsError, match="Set the variable AGGREGATOR_OUTLETS instead") as error:
        load({"outlets": outlets})
    assert TOKEN not in str(error.value)
    monkeypatch.setenv("AGGREGATOR_OUTLETS", outlets)
    assert len(load({}).outlet_addresses) >= 1


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("archive_url", f"s3://key:{TOKEN}@bucket/lake"),
        ("archive_url", f"s3://bucket/lake?endpoint=http://key:{TOKEN}@host"),
        ("table_stream", f"dynamodb://table?endpoint=http://key:{TOKEN}@host&x=1"),
        ("table_stream", f"key:{TOKEN}@table"),
        ("trades_url", f"postgresql://host/database?password={TOKEN}"),
        ("trades_url", f"dynamodb://p?aws_secret_access_key={TOKEN}"),
        ("trades_log", f"kafka://broker:9092/topic?sasl.Password={TOKEN}"),
        ("archive_url", f"s3://b?token={TOKEN}"),
        ("cache_url", f"redis://host/0?password={TOKEN}"),
    ],
)
def test_a_key_in_a_wrong_address_is_not_shown(name: str, address: str) -> None:
    """The error names the setting and what is wrong with it."""
    with pytest.raises(SettingsError, match=f"^--{name.replace('_', '-')}: ") as error:
        load({name: address})
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize(
    "outlets",
    [
        "https://hooks.example/prices?topics=alerts&name=desk",
        "kafka://broker:9092/market-events-2026-11",
        "sqs://prices-of-2026-11?region=eu-west-1",
    ],
)
def test_an_address_without_a_token_is_taken(outlets: str) -> None:
    """Names of topics and queues are no tokens."""
    assert len(load({"outlets": outlets}).outlet_addresses) == 1


def test_a_literal_secret_is_refused_without_showing_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The message says where the secret belongs."""
    assert main(["serve", "--outlets", f"https://hooks.example/x?secret={TOKEN}"]) == 2
    said = capsys.readouterr().err
    assert TOKEN not in said
    assert "secret of a webhook must be env:NAME or file:PATH" in said


def test_an_unknown_flag_is_refused_without_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt flag may have an address with a secret."""
    with pytest.raises(SystemExit):
        main(["serve", "--outletz", f"https://hooks.example/{TOKEN}"])
    said = capsys.readouterr().err
    assert TOKEN not in said
    assert "--outletz" in said


def test_a_secret_on_the_command_line_is_told_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    """By the name of the flag, without the value."""
    start({"api_keys": TOKEN, "port": "0"})
    said = capsys.readouterr().err
    assert "secrets_on_command_line" in said
    assert "--api-keys" in said
    assert TOKEN not in said
