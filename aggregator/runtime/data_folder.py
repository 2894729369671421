"""The folder of the files that a process writes."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from aggregator.errors import CannotGoOn
from aggregator.settings import PREFIX, Settings
from aggregator.settings.loader import SettingsError
from aggregator.stores.sqlite import parse_sqlite_url


def make_folder(folder: Path) -> Sequence[Path]:
    """Make the folder where it is missing; return the folders that were made, the inner ones first.

    Raises CannotGoOn; it has made none then.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_folders(missing)
        raise CannotGoOn(
            f"cannot make the folder {folder}: {error.strerror}", f"choose another {PREFIX}DATA_DIR"
        ) from error
    return missing


def check_folder(settings: Settings, files: Iterable[Path]) -> None:
    """Check that the folder is there, for a command that reads some files of it. Raises SettingsError.

    It may be missing where the settings name other stores, such as those of another machine.
    """
    folder = settings.data_dir
    if any(folder in one.parents for one in files) and not folder.is_dir():
        raise SettingsError([f"{PREFIX}DATA_DIR={folder}: there is no such folder"])


def files_of_stores(settings: Settings) -> Sequence[Path]:
    """Return the files of the stores of trades, prices and events: none for stores on a server or in memory."""
    urls = (settings.trades_url, settings.history_url, settings.events_url)
    return [parse_sqlite_url(url) for url in urls if url.startswith("sqlite:")]


def folders_of_files(settings: Settings) -> Sequence[Path]:
    """Return the folders of all files that a process may write."""
    outboxes = (settings.outbox_path, settings.trades_outbox_path, settings.outlets_path)
    files = (*outboxes, settings.dead_letters_path, settings.archive_path, *files_of_stores(settings))
    return list(dict.fromkeys(one.parent for one in files))


def remove_folders(folders: Sequence[Path]) -> None:
    """Remove folders that are empty, the inner ones first."""
    with suppress(OSError):  # a folder that is not empty, or is not there
        for folder in folders:
            folder.rmdir()
