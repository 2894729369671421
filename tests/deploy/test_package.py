"""The package: no text tells readers to install its name from an index, and its wheel works."""

import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.parts.process import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# An install of our name, old or new, that pip would look up in an index; paths and extras of "." are not matched.
_BY_NAME = re.compile(r"pip3? install\b[^\n`]*?[\s'\"](aggregator|rt[-_]price[-_]aggregator)(\[|==|['\"\s`]|$)")
_TEXTS = {".md", ".py", ".sh", ".toml", ".yml", ".yaml", ".txt", ".tf", ".tftpl", ".html", ".js", ""}


def texts() -> list[Path]:
    """Return the repository's text files."""
    git = shutil.which("git") or "true"  # an unpacked archive without git
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [ROOT / name for name in listed.split("\0") if name] or [
        one for one in ROOT.rglob("*") if not {".venv", ".git", "node_modules"} & set(one.parts)
    ]
    return [one for one in files if one.is_file() and one.suffix in _TEXTS]


def test_nobody_is_sent_to_an_index_for_it() -> None:
    """No text installs `aggregator` (another project's name) or our package's name from an index."""
    pip = "pip"  # inserted below, because this file is one of the texts
    assert _BY_NAME.search(f"{pip} install 'aggregator[otel]'")
    assert _BY_NAME.search(f"{pip} install --upgrade aggregator")
    assert not _BY_NAME.search(f"{pip} install -e '.[otel]'")
    found = [str(one) for one in texts() if _BY_NAME.search(one.read_text(encoding="utf-8", errors="replace"))]
    assert found == []
    assert PROJECT["name"] != "aggregator"
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{one.name}" for one in (ROOT / "docs").glob("*.md"))])
def test_commands_in_documents_run_as_written(document: str) -> None:
    """Shell commands in documents run our command from .venv, because it is not on the PATH."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    commands = [line.strip() for line in lines if line.startswith("    ")]
    assert [one for one in commands if re.match(r"([A-Z_]+=\S+ )*aggregator( |$)", one)] == []


@pytest.mark.real
def test_the_wheel_runs(tmp_path: Path) -> None:
    """The wheel builds without a network, and its command works in an environment that has the dependencies."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("aggregator", "mock_exchange"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    guide = source / "aggregator/api/guide/docs/index.html"  # as scripts/guide.sh makes it
    guide.parent.mkdir(parents=True, exist_ok=True)
    guide.touch()
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("rt_price_aggregator-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    packages = {str(one.parent.relative_to(ROOT)) for one in (ROOT / "aggregator").rglob("*.py")}
    assert packages <= {name.rpartition("/")[0] for name in names if name.endswith(".py")}
    assert {"aggregator/api/page/index.html", "aggregator/api/guide/docs/index.html"} <= set(names)
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=False)
    python = tmp_path / "venv/bin/python"
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"{ours}\n")  # those of requirements.txt, from this suite's environment
    said = subprocess.run(
        [tmp_path / "venv/bin/aggregator", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout == f"aggregator {PROJECT['version']}\n"
