"""The folder of a process for files under way, beside those of other processes."""

import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path


def make_work_folder(parent: Path) -> Path:
    """Create the folder of this process; delete those of processes of this machine that have ended. Raises OSError."""
    host = socket.gethostname()
    parent.mkdir(parents=True, exist_ok=True)
    for one in parent.iterdir():
        name, _, pid = one.name.rpartition("-")
        if name == host and pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(one, ignore_errors=True)
    mine = parent / f"{host}-{os.getpid()}"
    mine.mkdir(exist_ok=True)
    return mine


def delete_work_folder(mine: Path) -> None:
    """Delete a folder of this process, and the parent if it is empty."""
    shutil.rmtree(mine, ignore_errors=True)
    with suppress(OSError):
        mine.parent.rmdir()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
