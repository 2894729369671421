"""The diagrams: each is drawn from its source in docs/diagrams/, and is shown by a document."""

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

from tests.parts.process import ROOT

SOURCES = sorted((ROOT / "docs/diagrams").glob("*.dot"))
GRAPHVIZ = ROOT / "tests/node_modules/@viz-js/viz"


def drawing(source: Path) -> Path:
    """Return the file of a diagram."""
    return ROOT / "docs/images" / f"{source.stem}.svg"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.stem))
def test_a_diagram_is_shown_and_described(source: Path) -> None:
    """A document has it, with a text for readers who do not see it; its boxes with a slash are modules."""
    link = re.compile(rf"!\[.{{40,}}\]\(images/{source.stem}\.svg\)")
    assert any(link.search(document.read_text(encoding="utf-8")) for document in (ROOT / "docs").glob("*.md"))
    modules = re.findall(r'label="([a-z_]+/[a-z_]+)(?:\\n|")', source.read_text(encoding="utf-8"))
    homes = [ROOT / "aggregator" / module for module in modules]
    assert [home for home in homes if not home.is_dir() and not home.with_suffix(".py").is_file()] == []


@pytest.mark.real
@pytest.mark.skipif(
    which("node") is None or not GRAPHVIZ.is_dir(), reason="no node, or no Graphviz in tests/node_modules"
)
def test_the_diagrams_are_current(tmp_path: Path) -> None:
    """`node scripts/diagrams.mjs` draws the same files."""
    command = ["node", str(ROOT / "scripts/diagrams.mjs"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")}
    assert drawn == {drawing(one).name: drawing(one).read_text(encoding="utf-8") for one in SOURCES}
