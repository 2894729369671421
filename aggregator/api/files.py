"""Static files: read and compressed once, and answered with 304 if the browser already has them."""

import asyncio
import gzip
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from aggregator.api.price_bodies import matches
from aggregator.api.responses import refuse

_MEDIA = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_SMALL = 1000  # bytes; compressing fewer gains nothing


class _File(msgspec.Struct, frozen=True):
    """The content of a file, plain and compressed."""

    media: str
    etag: bytes
    raw: bytes
    packed: bytes


class Files:
    """The named files of a folder; every other name is 404. Each response has the given headers."""

    def __init__(self, folder: Path, names: Iterable[str], headers: Mapping[str, str]) -> None:
        self._paths = {name: folder / name for name in names}
        self._headers = dict(headers) | {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        self._read: dict[str, _File] = {}

    async def answer(self, request: Request, name: str) -> Response:
        """Return the file, or 304 if the client has it. Raises the response 404."""
        path = self._paths.get(name)
        if path is None:
            raise refuse(404, "Not Found")
        file = self._read.get(name)
        if file is None:  # in a thread: compressing Swagger UI's script takes long
            file = self._read[name] = await asyncio.to_thread(_read, path)
        headers = self._headers | {"ETag": file.etag.decode()}
        seen = request.headers.get("if-none-match", "").encode()
        if seen and matches(file.etag, seen):
            return Response(status_code=304, headers=headers)
        if len(file.raw) > _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=file.media)
        return Response(file.raw, headers=headers, media_type=file.media)


def media_of(path: Path) -> str | None:
    """Return the media type of a file, or None if its suffix is not served."""
    return _MEDIA.get(path.suffix)


def _read(path: Path) -> _File:
    raw = path.read_bytes()
    etag = b'W/"%b"' % hashlib.blake2b(raw, digest_size=12).hexdigest().encode()
    return _File(_MEDIA[path.suffix], etag, raw, gzip.compress(raw, 6, mtime=0))
