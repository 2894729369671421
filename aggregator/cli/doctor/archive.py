"""The check of the archive: a folder, or a bucket with the rights that the service needs there."""

import asyncio
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from aggregator.archive.storages.address import ArchiveAddress, FolderAddress, parse_archive_url
from aggregator.archive.storages.registry import open_storage
from aggregator.cli.doctor.checks import Finding, failure, passed
from aggregator.errors import StoreError, StoreRefused
from aggregator.runtime.data_folder import remove_folders
from aggregator.settings import Settings

_CHECK = "archive"
_MEND_FOLDER = "name a folder that can be written to"
_MEND_ACCESS = (
    "check the bucket, the credentials (AWS_…, profile or role), and their rights to list, get, put and delete"
)
_MEND_PLACE = "check the endpoint, the region and the network"
_RENEW = "renew the credentials (AWS_SESSION_TOKEN and the keys beside it, the login of the profile, or the role)"
_MENDS: Mapping[str, str] = {  # of S3's codes that may pass by themselves, and so are no refusals to the service
    "ExpiredToken": _RENEW,
    "InvalidToken": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "RequestExpired": _RENEW,
    "RequestTimeTooSkewed": "synchronise the clock of this machine (chrony, systemd-timesyncd)",
}


async def archive_check(settings: Settings) -> Sequence[Finding]:
    """Write a small file to the archive, read it and delete it; the role `api` only lists the files."""
    address = parse_archive_url(settings.archive_url)
    try:
        await asyncio.to_thread(_try, address, writing=settings.role != "api")
    except (StoreError, OSError) as error:
        return [failure(_CHECK, str(error), f"{_mend(address, error)} (AGGREGATOR_ARCHIVE_URL)")]
    return [passed(_CHECK, f"{address.root} can be {'read' if settings.role == 'api' else 'written'}")]


def _mend(address: ArchiveAddress, error: Exception) -> str:
    if isinstance(address, FolderAddress):
        return _MEND_FOLDER
    if isinstance(error, StoreRefused):
        return _MEND_ACCESS
    return next((mend for code, mend in _MENDS.items() if code in str(error)), _MEND_PLACE)


def _try(address: ArchiveAddress, *, writing: bool) -> None:
    made = _missing(address.folder) if isinstance(address, FolderAddress) else []
    name = f".doctor-{uuid.uuid4()}"
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(address, Path(folder) / "work")
        try:
            storage.open()
            if writing:
                source = storage.work_folder / name
                source.write_bytes(b"doctor")
                storage.put(name, source, None)  # under its own name, so that no lock is needed
                storage.read(name)
                storage.delete(name)
        finally:
            storage.close()
            remove_folders(made)


def _missing(root: Path) -> list[Path]:
    """Return the folders that opening the archive makes and its closing leaves, the inner ones first."""
    return [one for one in (root, *root.parents) if not one.exists()]
