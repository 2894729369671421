"""The files that are made, and their texts."""

import subprocess
import sys
from pathlib import Path

from scripts.client_models import python, typescript
from scripts.client_models.names import MODULES
from tests.api.openapi_parts import whole_document

_CLIENTS = Path(__file__).parents[2] / "clients"
PYTHON = _CLIENTS / "python/src/rt_price_aggregator_client/models"
JAVASCRIPT = _CLIENTS / "javascript/src/models"


def files() -> dict[Path, str]:
    """Return the text of each file, formatted."""
    document = whole_document()
    made = {PYTHON / f"{name}.py": _formatted(python.module(document, name)) for name in MODULES}
    made[PYTHON / "__init__.py"] = _formatted(python.package())
    made |= {JAVASCRIPT / f"{name}.d.ts": typescript.module(document, name) for name in MODULES}
    made[JAVASCRIPT / "index.d.ts"] = typescript.index()
    return made


def _formatted(text: str) -> str:
    text = _ruff("check", "--fix-only", "--select", "I", text=text)
    return _ruff("format", text=text)


def _ruff(*words: str, text: str) -> str:
    ruff = str(Path(sys.executable).with_name("ruff"))
    command = [ruff, *words, "--quiet", "--stdin-filename", str(PYTHON / "made.py"), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)  # noqa: S603 - our own ruff
    return done.stdout
