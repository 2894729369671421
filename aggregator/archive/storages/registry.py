"""The storage of an address: a folder or a bucket."""

from pathlib import Path

from aggregator.archive.storages.address import ArchiveAddress, S3Address
from aggregator.archive.storages.definition import Storage
from aggregator.archive.storages.folder import FolderStorage


def open_storage(address: ArchiveAddress, work_folder: Path) -> Storage:
    """Return the storage of an address, not opened. `work_folder` is for a bucket's files under way."""
    if isinstance(address, S3Address):
        from aggregator.archive.storages.s3 import S3Storage  # noqa: PLC0415  # Amazon's libraries take 0.3 s and 25 MiB

        return S3Storage(address, work_folder)
    return FolderStorage(address)
