"""The codes of refusals: clients compare them, so each is in docs/api.md, with the status that it comes with."""

import re

from aggregator.api.routing.responses import Code
from tests.parts.process import ROOT


def test_every_code_is_documented() -> None:
    """docs/api.md has each code once in the table of errors, and no other."""
    table = (
        (ROOT / "docs/api.md").read_text(encoding="utf-8").partition("\n## Errors\n")[2].partition("\n`Retry-After`")[0]
    )
    rows = [line.split("|")[2] for line in table.splitlines() if re.match(r"\| \d", line)]
    documented = [code for row in rows for code in re.findall("`([a-z_]+)`", row)]
    documented.append("internal_error")  # of a 500, which is a defect of ours
    assert sorted(documented) == sorted(Code)
