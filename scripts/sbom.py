#!/usr/bin/env python3
"""Print what a release's files are made of, as CycloneDX 1.6: the files, and the locked dependencies with their hashes.

    scripts/sbom.py dist/*.whl dist/*.tar.gz >dist/sbom.cdx.json
    scripts/sbom.py --project clients/python dist/*client*.whl >dist/client.cdx.json

Dependencies of requirements.txt are required; those that only requirements-all.txt has belong to an extra. A client
locks nothing: whoever installs it chooses the versions. Its document has the dependencies that it declares, by name.
"""

import argparse
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_LOCKED = re.compile(r"^([a-zA-Z0-9._-]+)==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def sbom(files: Sequence[Path]) -> dict[str, object]:
    """Return the document for the built files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {name for name, _ in _locked("requirements.txt")}
    parts = [
        _library(name, rest, "required" if name in required else "optional")
        for name, rest in _locked("requirements-all.txt")
    ]
    return _document("application", "pypi", project, files, parts)


def sbom_of_client(folder: Path, files: Sequence[Path]) -> dict[str, object]:
    """Return the document for the built files of a client, whose folder has pyproject.toml or package.json."""
    if (folder / "package.json").exists():
        package = json.loads((folder / "package.json").read_text())
        return _document("library", "npm", package, files, _named("npm", package.get("dependencies", {}), "required"))
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    extras = [one for extra in project.get("optional-dependencies", {}).values() for one in extra]
    parts = _named("pypi", project["dependencies"], "required") + _named("pypi", extras, "optional")
    return _document("library", "pypi", project, files, parts)


def _document(
    kind: str, registry: str, project: Mapping[str, Any], files: Sequence[Path], parts: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    purl = f"pkg:{registry}/{project['name']}@{project['version']}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": kind,
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


def _named(registry: str, requirements: Iterable[str], scope: str) -> list[dict[str, object]]:
    """Return a library for each requirement, such as `msgspec>=0.20`, without its version."""
    names = [re.split(r"[<>=~!;\[ ]", one, maxsplit=1)[0] for one in requirements]
    purls = {name: f"pkg:{registry}/{name}" for name in names}
    return [
        {"type": "library", "bom-ref": purl, "name": name, "purl": purl, "scope": scope} for name, purl in purls.items()
    ]


def _file(file: Path) -> dict[str, object]:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"type": "file", "name": file.name, "hashes": [{"alg": "SHA-256", "content": digest}]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path)
    parser.add_argument("files", type=Path, nargs="*")
    given = parser.parse_args()
    made = sbom_of_client(ROOT / given.project, given.files) if given.project else sbom(given.files)
    json.dump(made, sys.stdout, indent=1)
