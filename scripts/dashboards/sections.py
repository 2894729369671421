"""The sections of docs/runbook.md."""

import re
from pathlib import Path

_FILE = Path(__file__).parents[2] / "docs/runbook.md"


def sections() -> dict[str, str]:
    """Return the text of each section, by its heading (`## …`)."""
    parts = re.split(r"^## (.*)\n", _FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def place_of(title: str) -> int:
    """Return the id of the section's panel. The row has the first id. Raises ValueError."""
    return list(sections()).index(title) + 2
