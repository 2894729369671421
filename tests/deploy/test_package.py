"""The package: no text tells readers to install its name from an index, and its wheel works."""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from aggregator.libraries.extras import MODULES
from scripts.sbom import sbom
from tests.parts.process import ROOT, Process

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


def locked(name: str) -> set[str]:
    """Return the packages in a requirements file."""
    return set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / name).read_text(), re.MULTILINE))


def test_all_is_every_extra_but_one() -> None:
    """The extra `all` has every extra but ccxt; run.sh and the image install what it locks to, and code knows them."""
    extras = PROJECT["optional-dependencies"]
    (self_reference,) = extras["all"]
    named = set(re.findall(r"\[(.*)\]", self_reference)[0].split(","))
    assert self_reference.startswith(PROJECT["name"])
    assert named == set(MODULES) - {"ccxt"}
    assert set(MODULES) == set(extras) - {"all", "build", "dev"}
    assert {re.split(r"[<>=~]", one)[0].lower() for extra in named for one in extras[extra]} <= locked(
        "requirements-all.txt"
    )
    for file in ("run.sh", "deploy/Dockerfile"):
        assert "requirements-all.txt" in (ROOT / file).read_text()


def test_the_version_is_in_one_place() -> None:
    """The version of pyproject.toml has its part in the changelog, below what is unreleased, and in the manifests."""
    parts = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert [name for name, _ in parts][:2] == ["Unreleased", PROJECT["version"]]
    for file in (ROOT / "deploy/kubernetes").glob("*/kustomization.yaml"):
        assert set(re.findall(r"newTag: v(\S+)", file.read_text())) <= {PROJECT["version"]}


def test_the_sbom_names_what_is_locked(tmp_path: Path) -> None:
    """The SBOM has the files with their hashes, and each locked package with its hashes; extras are optional."""
    file = tmp_path / "some.whl"
    file.write_bytes(b"wheel")
    made: Any = sbom([file])
    parts = {part["name"]: part for part in made["components"]}
    assert parts.keys() == locked("requirements-all.txt")
    assert {name for name, part in parts.items() if part["scope"] == "required"} == locked("requirements.txt")
    assert all(part["hashes"] and part["purl"].endswith(part["version"]) for part in parts.values())
    (packed,) = made["metadata"]["component"]["components"]
    assert packed["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"wheel").hexdigest()}]


@pytest.mark.real
def test_the_wheel_runs(tmp_path: Path) -> None:
    """The wheel builds without a network, has every file of the packages, and serves from a folder that has nothing."""
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
    wanted = [one for name in ("aggregator", "mock_exchange") for one in (ROOT / name).rglob("*") if one.is_file()]
    unpacked = {str(one.relative_to(ROOT)) for one in wanted if one.suffix not in (".pyc", ".pyi")}
    assert {*unpacked, "aggregator/api/guide/docs/index.html"} - set(names) == set()
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=False)
    python = tmp_path / "venv/bin/python"
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"{ours}\n")  # those of requirements.txt, from this suite's environment
    program, elsewhere = str(tmp_path / "venv/bin/aggregator"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = subprocess.run([program, "--version"], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert said.stdout == f"aggregator {PROJECT['version']}\n"
    served = Process([program, "serve", "--port", "0", "--exchanges", "none=mock+http://127.0.0.1:9"], elsewhere)
    found = served.wait_for_line(r"listening.*(http://127\.0\.0\.1:\d+)\S* assets=(\d+)")
    assert found[2] == "1000"
    with urllib.request.urlopen(found[1]) as page:
        assert b"<!doctype html>" in page.read()
    assert served.stop() == 0, served.output
