"""The documents say what is so: settings as they are, and links that lead somewhere."""

import re
from pathlib import Path

import pytest

from scripts.settings_reference import FILE, reference
from tests.parts.process import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def test_the_settings_are_current() -> None:
    """docs/settings.md is what `scripts/settings_reference.py` writes: every setting, its default and its bounds."""
    assert FILE.read_text(encoding="utf-8") == reference(), "run .venv/bin/python scripts/settings_reference.py"


def anchors(document: Path) -> set[str]:
    """Return what a link into a document can point at: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    """To a file that is there, and to a heading in it."""
    for link in _LINK.findall(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
