"""Small files of the archive beside its datasets, such as dead letters. They are written once and never changed."""

from aggregator.archive.storages.definition import Conflict, Storage
from aggregator.errors import StoreUnavailable


def put_file(storage: Storage, path: str, body: bytes) -> None:
    """Write a file, unless it is there; durable when it returns. Raises StoreError."""
    with storage.exclusive():
        if storage.read(path) is not None:
            return
        source = storage.work_folder / path.rpartition("/")[2]
        try:
            source.write_bytes(body)
            storage.put(path, source, None)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {source}: {error.strerror}") from error
        except Conflict as error:
            raise StoreUnavailable(f"another process writes {path}") from error
