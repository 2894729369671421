"""The examples in README.md and docs/, run against the real service: in a shell, in Python, in JavaScript.

A code block marked `sh`, `python` or `javascript` is an example. A `json` or `text` block after it is the expected
answer. Commands that start something are indented instead: test_commands.py says what becomes of them.
"""

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
BLOCKS = {
    document.name: re.findall(r"^```(\w+)\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if document.name != "tutorial.md"  # test_tutorial.py follows it, in order
}
EXAMPLES = [
    pytest.param(language, text, blocks[number + 1 : number + 2], id=f"{name}-{number}-{language}")
    for name, blocks in BLOCKS.items()
    for number, (language, text) in enumerate(blocks)
    if language in RUNNERS
]
SECONDS = 120  # a time limit, not a promise


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, shared_market: Market) -> Iterator[Service]:
    """Run the service with three mock exchanges, as ./run.sh does, on a free port."""
    shared_market.sound()
    running = Service(tmp_path_factory.mktemp("examples"), exchanges=shared_market.setting).filled()
    yield running
    assert running.process.stop() == 0, running.process.output


def shape(value: Any) -> Any:
    """Return the structure of a value: names and types; of a list, the structure of its first element."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def run(language: str, text: str, service: Service) -> str:
    """Run an example against the service; return its output."""
    if shutil.which(NEEDS[language]) is None:
        pytest.skip(f"no {NEEDS[language]} here")
    address = service.url.removeprefix("http://")
    host, _, port = address.partition(":")
    text = text.replace("localhost:8080", address).replace('"localhost", 8080', f'"{host}", {port}')
    assert "localhost" not in text, "the example calls a port that is not the service's"
    done = subprocess.run(
        [*RUNNERS[language], text], capture_output=True, text=True, timeout=SECONDS, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize(("language", "text", "following"), EXAMPLES)
def test_an_example_works(service: Service, language: str, text: str, following: list[tuple[str, str]]) -> None:
    """It exits with 0 and prints something. Where the document shows an answer, the output has its structure."""
    output = run(language, text, service)
    assert output.strip()
    for shown, answer in following:
        if shown == "json":
            assert shape(json.loads(output)) == shape(json.loads(answer))
        elif shown == "text":
            assert output.splitlines()[0] == answer.splitlines()[0]


def test_a_wrong_answer_in_a_document_is_found(service: Service) -> None:
    """Another name or another type is another structure."""
    answer = json.loads(run("sh", "curl -sS http://localhost:8080/prices/btcusdt", service))
    assert shape(answer) != shape(answer | {"more": 1})
    assert shape(answer) != shape(answer | {"stale": 0})


def test_every_language_has_examples() -> None:
    """Without this test, a document without examples would pass."""
    languages = [language for language, _ in BLOCKS["api.md"]]
    assert all(languages.count(language) >= 4 for language in RUNNERS)
    assert "sh" in [language for language, _ in BLOCKS["README.md"]]
