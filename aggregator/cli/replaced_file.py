"""A file that is replaced as a whole: its new content is written beside it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aggregator.errors import CannotGoOn


def beside(path: Path) -> Path:
    """Return the path of the temporary file for `path`, absolute."""
    return path.absolute().with_name(f".{path.name}.{os.getpid()}")


@contextmanager
def replaced(path: Path, option: str) -> Iterator[Path]:
    """Yield the path of a temporary file beside `path`, and rename it at the end of the `with` block.

    Nothing is left after an error. `option` is the flag that names the file. Raises CannotGoOn.
    """
    new = beside(path)
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise CannotGoOn(f"cannot write {path}: {error.strerror}", f"name another file with {option}") from error
    finally:
        with suppress(OSError):
            new.unlink()
