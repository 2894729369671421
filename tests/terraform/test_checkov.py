"""checkov, from its own environment: no failed check without a written reason."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.parts.terraform import FOLDER, checkov

pytestmark = pytest.mark.real


@pytest.mark.skipif(checkov() is None, reason="no checkov; see the header")
def test_no_check_fails() -> None:
    """No check fails, except those skipped beside the resource."""
    said = subprocess.run(
        [
            str(checkov()),
            "--directory",
            str(FOLDER),
            "--framework",
            "terraform",
            "--output",
            "json",
            "--quiet",
            "--skip-download",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    found = json.loads(said.stdout)
    failed = [f"{one['check_id']} {one['resource']}" for one in found["results"]["failed_checks"]]
    assert failed == []
    assert found["summary"]["passed"] > 200


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.tf")), ids=lambda file: str(file.relative_to(FOLDER)))
def test_every_skipped_check_has_a_reason(file: Path) -> None:
    """Every skipped check has a reason in words."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if "checkov:skip" in line:
            assert re.search(r"#checkov:skip=CKV2?_AWS_\d+:.{8,}", line), line
