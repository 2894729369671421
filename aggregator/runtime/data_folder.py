"""The folder of the files that a process writes."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aggregator.errors import CannotGoOn


def make_folder(folder: Path) -> Sequence[Path]:
    """Make the folder where it is missing; return the folders that were made, the inner ones first.

    Raises CannotGoOn; it has made none then.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_folders(missing)
        raise CannotGoOn(f"cannot make the folder {folder}: {error.strerror}", "choose another --data-dir") from error
    return missing


def remove_folders(folders: Sequence[Path]) -> None:
    """Remove folders that are empty, the inner ones first."""
    with suppress(OSError):  # a folder that is not empty, or is not there
        for folder in folders:
            folder.rmdir()
