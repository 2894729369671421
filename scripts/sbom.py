#!/usr/bin/env python3
"""Print what a release's files are made of, as CycloneDX 1.6: the files, and the locked dependencies with their hashes.

    scripts/sbom.py dist/*.whl dist/*.tar.gz >dist/sbom.cdx.json

Dependencies of requirements.txt are required; those that only requirements-all.txt has belong to an extra.
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LOCKED = re.compile(r"^([a-zA-Z0-9._-]+)==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def sbom(files: Sequence[Path]) -> dict[str, object]:
    """Return the document for the built files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    purl = f"pkg:pypi/{project['name']}@{project['version']}"
    required = {name for name, _ in _locked("requirements.txt")}
    parts = [
        _library(name, rest, "required" if name in required else "optional")
        for name, rest in _locked("requirements-all.txt")
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": purl,
                "name": project["name"],
                "version": project["version"],
                "purl": purl,
                "licenses": [{"license": {"id": project["license"]}}],
                "components": [_file(file) for file in files],
            }
        },
        "components": parts,
        "dependencies": [{"ref": purl, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _locked(name: str) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Yield name, version and hashes of each package in a requirements file."""
    for package, version, rest in _LOCKED.findall((ROOT / name).read_text()):
        yield package, (version, _HASH.findall(rest))


def _library(name: str, locked: tuple[str, list[str]], scope: str) -> dict[str, object]:
    version, hashes = locked
    purl = f"pkg:pypi/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "scope": scope,
        "hashes": [{"alg": "SHA-256", "content": one} for one in hashes],
    }


def _file(file: Path) -> dict[str, object]:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"type": "file", "name": file.name, "hashes": [{"alg": "SHA-256", "content": digest}]}


if __name__ == "__main__":
    json.dump(sbom([Path(name) for name in sys.argv[1:]]), sys.stdout, indent=1)
