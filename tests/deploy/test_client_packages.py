"""The clients in a release: a wheel and an npm package, which `scripts/release.sh` builds."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.parts.process import ROOT


@pytest.mark.real
@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here")
def test_a_release_has_the_clients(tmp_path: Path) -> None:
    """Both clients are built without a network, each with its licence and a list of what it needs."""
    for folder in ("clients", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.egg-info", "build"))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    command = [str(tmp_path / "scripts/release.sh"), "clients"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    dist = tmp_path / "dist"
    (wheel,), (tarball,) = dist.glob("rt_price_aggregator_client-*.whl"), dist.glob("rt-price-aggregator-client-*.tgz")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert "rt_price_aggregator_client/py.typed" in names
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    with tarfile.open(tarball) as archive:
        packed_names = archive.getnames()
    assert {"package/src/index.js", "package/LICENSE", "package/README.md"} <= set(packed_names)
    needs = {}
    for file in dist.glob("client-*.cdx.json"):
        made = json.loads(file.read_text())
        needs[file.name] = {part["name"]: part["scope"] for part in made["components"]}
        (packed_file,) = made["metadata"]["component"]["components"]
        assert packed_file["name"] in (wheel.name, tarball.name)
    python = {"httpx2": "required", "msgspec": "required", "pandas": "optional"}
    assert needs == {"client-python.cdx.json": python, "client-javascript.cdx.json": {}}
