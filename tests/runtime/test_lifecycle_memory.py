"""The settings of malloc."""

import platform
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library of GNU has this setting"),
]

# In a process of its own, since the heap of the test process has gaps in which malloc puts such blocks first.
_ARRAYS_IN_THE_HEAP = """
from array import array
from pathlib import Path
from aggregator.runtime.lifecycle import map_large_blocks

map_large_blocks()
arrays = [array("q", bytes(40_000)) for _ in range(1000)]
maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
heap = [[int(end, 16) for end in line.split()[0].split("-")] for line in maps if "[heap]" in line]
addresses = [one.buffer_info()[0] for one in arrays]
print(sum(any(first <= at < last for first, last in heap) for at in addresses))
"""


def test_large_arrays_are_not_in_the_heap() -> None:
    """Arrays of 40 kB, below the usual bound of 128 KiB, have mappings of their own, but for those that fill gaps."""
    answer = subprocess.run(
        [sys.executable, "-c", _ARRAYS_IN_THE_HEAP], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(answer.stdout) < 500
