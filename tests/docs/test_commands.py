"""The indented commands of the documents: the words of those that no test runs are right, or there is a reason."""

import re

import pytest

from aggregator.cli.main import COMMANDS, build_parser
from aggregator.settings import PREFIX
from aggregator.settings.loader import SettingsError, load
from tests.docs.indented import EXEMPT, Indented, commands, profiles, words
from tests.docs.test_documents import DOCUMENTS
from tests.parts.process import ROOT

ALL = [*commands()]
LEFT = [one for one in ALL if not one.is_run and one.reason is None]
CASES = re.findall(r"^  ([a-z-]+)\)", (ROOT / "test.sh").read_text(encoding="utf-8"), re.MULTILINE)
_SENTENCE = re.compile(r"`(?:[A-Z_]+=\S+ )?\./test\.sh ([^`\n]+)`")
QUOTED = sorted({one for document in DOCUMENTS for one in _SENTENCE.findall(document.read_text(encoding="utf-8"))})


def of(beginning: str) -> list[Indented]:
    """Return the commands whose first word, after variables, is this one."""
    return [one for one in LEFT if words(one.text)[1][0] == beginning]


@pytest.mark.parametrize("command", [*of(".venv/bin/aggregator"), *of("./run.sh")], ids=str)
def test_our_command_would_start(command: Indented, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its flags are known, and its settings are valid, unless they have an ellipsis."""
    variables, arguments = words(command.text)
    program, *flags = arguments
    flags = [flag for flag in flags if flag not in {"&", "--help"}]
    name = flags[0] if program.endswith("aggregator") else "demo"
    options = build_parser().parse(flags if program.endswith("aggregator") else ["demo", *flags])
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    if "…" not in command.text:
        load(COMMANDS[name].flags(options))


def test_a_mistake_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A flag that does not exist, and a variable whose value is wrong."""
    with pytest.raises(SystemExit):
        build_parser().parse(["serve", "--nosuch", "1"])
    assert "nosuch" in capsys.readouterr().err
    monkeypatch.setenv(f"{PREFIX}OUTLETS", "nosuch://x")
    with pytest.raises(SettingsError, match=f"{PREFIX}OUTLETS"):
        load({})


@pytest.mark.parametrize("command", of("./test.sh"), ids=str)
def test_the_tests_that_are_named_exist(command: Indented) -> None:
    """The first word is a case of test.sh, and paths are there."""
    names = command.text.removeprefix("./test.sh").split()
    assert not names or set(names[0].split("|")) <= set(CASES)
    assert [name for name in names if name.startswith("tests/") and not (ROOT / name).exists()] == []


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Return the text of each module of the tests, by its path."""
    modules = [
        path for folder in (ROOT / "tests").iterdir() if folder.name != "node_modules" for path in folder.rglob("*.py")
    ]
    return {str(path.relative_to(ROOT / "tests")): path.read_text(encoding="utf-8") for path in modules}


@pytest.mark.parametrize("command", QUOTED)
def test_the_tests_that_a_sentence_names_exist(command: str, sources: dict[str, str]) -> None:
    """A command of ./test.sh in backquotes: its case, a bench, a path, and a test for the word after -k are there."""
    case, *names = command.split()
    assert case.split("|")[0] in CASES
    assert [name for name in names if name.startswith("tests/") and not (ROOT / name).exists()] == []
    if case == "bench":
        benches = "".join(sources[f"bench/{name}.py"] for name in ("__main__", "trades", "kafka"))
        assert [name for name in names if not name.startswith("--") and f'"{name}"' not in benches] == []
    if "-k" in names:
        word = names[names.index("-k") + 1]
        assert any(re.search(rf"def test_\w*{word}", source) for source in sources.values())


@pytest.mark.parametrize("command", of("docker"), ids=str)
def test_the_profiles_that_are_named_exist(command: Indented) -> None:
    """Those of docker-compose.yml, which ./test.sh containers runs."""
    assert command.text.partition("docker ")[2].startswith("compose ")
    assert set(re.findall(r"--profile (\S+)", command.text)) <= profiles()


def test_no_command_is_left() -> None:
    """Each is run, checked above, or has a reason; and each reason is that of a command."""
    checked = {".venv/bin/aggregator", "./run.sh", "./test.sh", "docker"}
    assert [str(one) for one in LEFT if words(one.text)[1][0] not in checked] == []
    assert [start for start in EXEMPT if not any(one.text.startswith(start) for one in ALL)] == []
    assert sum(one.is_run for one in ALL) > 20
