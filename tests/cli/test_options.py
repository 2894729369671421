"""The command line: suggestions for misspelt words, and the help."""

import re

import pytest

from aggregator.cli.main import main


def ended(*arguments: str) -> object:
    """Run a command that ends with SystemExit; return its exit code."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("serve", "--hot-sise", "5"), "unrecognized arguments: --hot-sise 5; did you mean --hot-size?"),
        (("serve", "--hot-sise=5"), "unrecognized arguments: --hot-sise=5; did you mean --hot-size?"),
        (("dead-letters", "list", "--outbox-pth", "x"), "did you mean --outbox-path?"),
        (("--versoin",), "did you mean --version?"),
        (("serv",), "there is no command 'serv'; did you mean serve?"),
        (("xyz",), "there is no command 'xyz'\n"),
    ],
)
def test_suggestions(capsys: pytest.CaptureFixture[str], command: tuple[str, ...], said: str) -> None:
    """The closest flag or command is suggested."""
    assert ended(*command) == 2
    assert said in capsys.readouterr().err


def test_help_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Choices and defaults are shown as a user writes them, not as Python does."""
    assert ended("serve", "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "One of static, popular. Default: static." in said
    assert "Whole number ≥ 0, ≤ 65535. Default: 8080." in said
    assert "Texts, comma-separated. Default: none." in said
    assert not re.search(r"Undefined|Default: (\(|None|PosixPath|Decimal)", said)
