"""Files and folders that the documents name are there."""

import re
from pathlib import Path

import pytest

from tests.docs.test_documents import DOCUMENTS
from tests.parts.process import ROOT

_PATH = re.compile(
    r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|md|sh|yml|js|tf)|(?:aggregator|tests|scripts|deploy|docs)/[\w./-]*)`"
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(r"^```python\n# (\S+)$", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_named_files_exist(document: Path) -> None:
    """Each path in backquotes is there, from the top, in aggregator/ or beside the document, or is a module in it."""
    if document.name == "CHANGELOG.md":  # which names the files of its time
        return
    text = document.read_text(encoding="utf-8")
    named = set(_PATH.findall(_FENCE.sub("", text))) - set(_MODULE.findall(text))
    homes = (ROOT, ROOT / "aggregator", document.parent)
    assert [path for path in named if not any((home / path).exists() for home in homes)] == []
