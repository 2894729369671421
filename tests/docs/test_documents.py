"""The documents are current: the settings match the program, and every link has a target."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from scripts import cli_reference, metrics_reference, settings_reference
from tests.parts.process import ROOT

DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    ROOT / "terraform/README.md",
    ROOT / "tests/README.md",
    *sorted((ROOT / "clients").glob("*/README.md")),
]
README_LINES = 130
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("maker", [cli_reference, metrics_reference, settings_reference])
def test_a_reference_is_current(maker: ModuleType) -> None:
    """docs/cli.md, metrics.md and settings.md are what their scripts write."""
    current = maker.FILE.read_text(encoding="utf-8") == maker.reference()
    assert current, f"run .venv/bin/python {maker.__name__.replace('.', '/')}.py"


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_have_a_target(document: Path) -> None:
    """Each points to an existing file, and to a heading in it where it names one."""
    for link in _LINK.findall(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_pre_commit_runs_what_lint_runs() -> None:
    """The hooks are the commands of `./test.sh lint`, in its order."""
    (lint,) = re.findall(
        r"^lint\(\) \{\n(.*?)^\}", (ROOT / "test.sh").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    hooks = re.findall(r"^ +entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert hooks == [line.strip() for line in lint.splitlines()]


def test_the_readme_is_short() -> None:
    """The README has at most 130 lines; what is longer belongs into docs/."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES
