"""The end of a fork: that of an interpreter, but for the memory."""

import subprocess
import sys

import pytest

from tests.parts.process import ROOT

pytestmark = pytest.mark.real

PROGRAM = """
import atexit, sys, threading, time
from tests.parts.forks import leave

async def forgotten(): ...

def late():
    time.sleep(0.05)
    print("thread")

in_a_circle = [forgotten()]
in_a_circle.append(in_a_circle)
del in_a_circle
atexit.register(print, "exit")
threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("end", ["leave", "sys.exit"])
def test_an_end_is_that_of_an_interpreter(end: str) -> None:
    """It waits for threads, calls what is registered, writes the output, and reports forgotten coroutines."""
    done = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}{end}(3)"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert (done.returncode, done.stdout) == (3, "thread\nexit\n"), done.stderr
    assert "coroutine 'forgotten' was never awaited" in done.stderr
