"""The examples in docs/api.md, run against the real service as a reader would: in a shell, in Python, in JavaScript."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.parts.exchanges import Market
from tests.parts.process import ROOT
from tests.parts.service import Service

pytestmark = pytest.mark.real

RUNNERS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "javascript": ["node", "--input-type=module", "--eval"],
}
NEEDS = {"sh": "curl", "python": sys.executable, "javascript": "node"}
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
EXAMPLES = [
    pytest.param(language, text, BLOCKS[number + 1 : number + 2], id=f"{number}-{language}")
    for number, (language, text) in enumerate(BLOCKS)
    if language in RUNNERS
]
SECONDS = 30


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, shared_market: Market) -> Iterator[Service]:
    """Run what ./run.sh runs, on a port of its own."""
    shared_market.sound()
    running = Service(tmp_path_factory.mktemp("examples"), exchanges=shared_market.setting).filled()
    yield running
    assert running.process.stop() == 0, running.process.output


def shape(value: Any) -> Any:
    """Return what a value is made of: names and kinds, of a list those of its first."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def run(language: str, text: str, service: Service) -> str:
    """Run an example against the service; return what it writes."""
    if shutil.which(NEEDS[language]) is None:
        pytest.skip(f"no {NEEDS[language]} here")
    address = service.url.removeprefix("http://")
    host, _, port = address.partition(":")
    text = text.replace("localhost:8080", address).replace('"localhost", 8080', f'"{host}", {port}')
    assert "localhost" not in text, "an example that would ask somebody else's port"
    done = subprocess.run(
        [*RUNNERS[language], text], capture_output=True, text=True, timeout=SECONDS, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize(("language", "text", "following"), EXAMPLES)
def test_an_example_works(service: Service, language: str, text: str, following: list[tuple[str, str]]) -> None:
    """It ends well, says something, and where the document shows an answer, that is what comes."""
    said = run(language, text, service)
    assert said.strip()
    for shown, answer in following:
        if shown == "json":
            assert shape(json.loads(said)) == shape(json.loads(answer))
        elif shown == "text":
            assert said.splitlines()[0] == answer.splitlines()[0]


def test_an_answer_that_is_shown_wrongly_is_found(service: Service) -> None:
    """Another name or another kind is another shape."""
    told = json.loads(run("sh", "curl -sS http://localhost:8080/prices/btcusdt", service))
    assert shape(told) != shape(told | {"more": 1})
    assert shape(told) != shape(told | {"stale": 0})


def test_every_language_has_examples() -> None:
    """A document without them would pass all of the above."""
    languages = [language for language, _ in BLOCKS]
    assert all(languages.count(language) >= 4 for language in RUNNERS)
