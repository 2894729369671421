"""The manifest of a day: the files of a dataset, and what each of them must have. Pure.

A range that a manifest has belongs to the archive; trades that came later wait in the hot store until their range is
written again, some minutes later.
"""

from collections.abc import Sequence

import msgspec

from aggregator.archive.layout import FileName, parse_path

VERSION = 1


class FileEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file: its path from the root, rows, size in bytes, and the checksum of its content.

    The checksum is the sum of a 64-bit hash of each row, modulo 2^64, in hexadecimal: it does not depend on the order
    of rows. `first` and `last` are the times of the first and the last row, in microseconds. `digest` is the BLAKE2b of
    its bytes, of 128 bits in hexadecimal; empty in manifests of earlier versions.
    """

    path: str
    rows: int
    bytes: int
    checksum: str
    first: int
    last: int
    digest: str = ""

    @property
    def name(self) -> FileName:
        """The range of the file. Raises ValueError for a path that is none of the archive's."""
        found = parse_path(self.path)
        if found is None:
            raise ValueError(f"{self.path[:200]} is no file of an archive")
        return found


class Manifest(msgspec.Struct, frozen=True):
    """The files of a day, in the order of their ranges, which do not overlap."""

    files: tuple[FileEntry, ...] = ()
    version: int = VERSION

    def between(self, start: float, end: float) -> list[FileEntry]:
        """Return the files that may have rows of start <= time <= end, in unix seconds."""
        return [one for one in self.files if one.last >= start * 1e6 and one.first <= end * 1e6]

    def replaced(self, start: int, end: int, entries: Sequence[FileEntry]) -> "Manifest":
        """Return the manifest with `entries` instead of the files whose ranges lie in start <= time < end."""
        kept = [one for one in self.files if not (start <= one.name.start and one.name.end <= end)]
        return Manifest(tuple(sorted([*kept, *entries], key=lambda one: one.name)))

    def of_hour(self, hour: int) -> list[FileEntry]:
        """Return the files of the hour that begins at `hour`, in unix seconds."""
        return [one for one in self.files if hour <= one.name.start < hour + 3600]


_decoder = msgspec.json.Decoder(Manifest)


def decode_manifest(raw: bytes) -> Manifest:
    """Return the manifest in a file's bytes. Raises ValueError."""
    try:
        manifest = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no manifest: {error}") from error
    if manifest.version != VERSION:
        raise ValueError(f"a manifest of version {manifest.version}, this program needs {VERSION}")
    for one in manifest.files:
        _ = one.name
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest, a line for each file."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)
