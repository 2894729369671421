"""The indented commands of the documents, and what a test can do with each: run it, check its words, or nothing.

Examples in blocks marked `sh` are run by test_examples.py. A command is indented where it starts, changes or needs
something that an example cannot.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.docs.test_documents import DOCUMENTS
from tests.parts.process import ROOT

_FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"(?:^\n|\A)((?:^ {4}[^\n]*\n|^\n(?= {4}))+)", re.MULTILINE)
_COMMAND = re.compile(
    r"(?:[A-Z_]+=\S+ )*"
    r"(?:\./|\.venv/|curl |docker|aws |python3? |pip |terraform |scripts/|tests/|export |kafka-topics|py-spy )"
)

# Commands that no test runs or checks, by their beginning, with the reason.
EXEMPT = {
    ".venv/bin/pip": "installs packages over the network; tests/deploy/test_package.py builds and installs the wheel",
    ".venv/bin/aggregator --version": "tests/deploy/test_package.py runs it",
    "python3 -m venv": "makes the environment in which the tests run",
    "pip install ./clients/python": "installs packages over the network; scripts/venv.sh installs it for the tests",
    "pip wheel --no-deps": "builds in an environment that pip fetches over the network",
    "pip install py-spy": "installs a package over the network",
    "py-spy": "a tool of another project",
    "aws ": "needs AWS",
    "kafka-topics.sh": "a tool of Kafka, which no package has",
    "terraform ": "needs AWS; ./test.sh terraform applies the same to moto",
    "scripts/deploy.sh": "needs AWS; tests/terraform/stages.py runs it on moto",
    "docker push": "needs Docker and an image registry",
    "docker build": "needs Docker and an image registry; ./test.sh containers builds the images",
    "docker compose exec": "needs Docker; ./test.sh containers runs the compose file",
    "docker compose down": "needs Docker; ./test.sh containers runs the compose file",
    "export ": "sets variables for the commands after it",
    'curl "$(terraform': "needs AWS",
    "DIGEST=": "needs AWS; tests/terraform/stages.py runs it on moto",
    "AGGREGATOR_EXCHANGES=acme": "an invented exchange; test_walkthroughs.py polls it",
    "tests/busy.sh": "runs all tests three times",
    ".venv/bin/python scripts/": "writes a generated file; a test compares it",
    "./run.sh --": "the demo, as in test_tutorial.py, with other flags",
}


class Indented(msgspec.Struct, frozen=True):
    """A command with the document that it is in, without its comment."""

    document: str
    text: str

    def __str__(self) -> str:
        """Return a name for the report."""
        return f"{self.document}: {self.text[:60]}"

    @property
    def reason(self) -> str | None:
        """Why nothing is done with it, if nothing is."""
        return next((reason for start, reason in EXEMPT.items() if self.text.startswith(start)), None)

    @property
    def is_run(self) -> bool:
        """Whether it is run beside the demo: it reads, or switches a fault of a mock exchange on."""
        return bool(re.match(r"curl .*localhost:808[01]/", self.text)) or self.text.startswith(_RUN)


_RUN = ".venv/bin/aggregator sql --data-dir data "  # the other commands start slowly, and tests/cli/ runs them


def commands() -> Iterator[Indented]:
    """Return every indented command of every document."""
    for document in DOCUMENTS:
        text = _FENCE.sub("", document.read_text(encoding="utf-8"))
        for block in _BLOCK.findall(text):
            for line in re.sub(r" *\\\n *", " ", block).splitlines():
                if _COMMAND.match(line.strip()):
                    yield Indented(str(document.relative_to(ROOT)), _without_comment(line.strip()))


def words(text: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables before a command, and its words."""
    parts = shlex.split(text)
    variables = {}
    while parts and re.match(r"[A-Z_]+=", parts[0]):
        name, _, value = parts.pop(0).partition("=")
        variables[name] = value
    return variables, parts


def _without_comment(line: str) -> str:
    return re.sub(r"\s+#\s.*$", "", line)


def profiles() -> set[str]:
    """Return the profiles of docker-compose.yml."""
    found = re.findall(r"profiles: \[(.*)\]", Path(ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return {name.strip() for names in found for name in names.split(",")}
