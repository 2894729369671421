"""Runs `aggregator` commands in forks of one process that has imported it: the imports cost a second of CPU each time.

`python -m tests.parts.commands` is that process. It reads a request per line and answers with the exit code.
"""

import gc
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests.parts.process import ROOT

SECONDS = 600  # time limit for a command on a loaded machine; not a promise
_running: list[subprocess.Popen[bytes]] = []  # none or one, as the tests of a process run one after the other


class Request(msgspec.Struct, frozen=True):
    """One command: its arguments, its whole environment, and the files for its output."""

    arguments: list[str]
    environment: dict[str, str]
    stdout: str
    stderr: str


def run_command(*arguments: object, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `aggregator` with these arguments and this environment in the root of the project, without input."""
    with tempfile.TemporaryDirectory() as name:
        out, errors = Path(name) / "stdout", Path(name) / "stderr"
        words = list(map(str, arguments))
        code = _answer(Request(words, dict(environment), str(out), str(errors)))
        return subprocess.CompletedProcess(words, code, out.read_text(), errors.read_text())


def end() -> None:
    """End the process, if it was started."""
    while _running:
        process = _running.pop()
        process.kill()
        process.communicate()


def _answer(request: Request) -> int:
    if not _running:
        command = [sys.executable, "-m", "tests.parts.commands"]
        _running.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    requests, answers = _running[0].stdin, _running[0].stdout
    assert requests is not None
    assert answers is not None
    requests.write(msgspec.json.encode(request) + b"\n")
    requests.flush()
    if not select.select([answers], [], [], SECONDS)[0]:
        end()
        raise AssertionError(f"{request.arguments} did not end within {SECONDS} s")
    return int(answers.readline())


def _forked(request: Request) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70  # an exception: its traceback is in stderr
    try:
        code = _called(request)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # the fork must not go on as a second server
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _called(request: Request) -> int:
    from aggregator.cli.main import main  # noqa: PLC0415  # imported before the first fork

    for file, number in ((request.stdout, 1), (request.stderr, 2)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request.environment)
    return main(request.arguments)


def serve() -> None:
    """Import the command line with what its commands import later; answer requests until the input ends."""
    import aioboto3  # noqa: F401, PLC0415  # only here: the importers of this module do not need it

    import aggregator.cli.main  # noqa: PLC0415  # likewise
    import aggregator.stores.dynamodb.table  # noqa: F401, PLC0415  # likewise

    gc.freeze()
    decoder = msgspec.json.Decoder(Request)
    for line in sys.stdin.buffer:
        sys.stdout.write(f"{_forked(decoder.decode(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
