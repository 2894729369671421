"""The programs that make clients from /openapi.json; those in JavaScript come with DynamoDB Local, by npm."""

import shutil

from tests.parts.process import ROOT

_MODULES = ROOT / "tests/node_modules"
OPENAPI_TYPESCRIPT = _MODULES / "openapi-typescript/bin/cli.js"
TSC = _MODULES / "typescript/bin/tsc"


def missing() -> str:
    """Return what is missing to make TypeScript's types, or an empty string."""
    if shutil.which("node") is None:
        return "no node"
    return "" if OPENAPI_TYPESCRIPT.exists() and TSC.exists() else "npm has not installed openapi-typescript"
