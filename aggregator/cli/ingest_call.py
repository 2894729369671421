"""One record to POST /ingest of a running service."""

import asyncio
import http.client
import ssl
from urllib.parse import urlsplit

import msgspec

_SECONDS = 30.0
_MOST_ANSWER = 1 << 20  # bytes
_SEE_EACH = (200, 400)  # statuses whose answer tells of the record; any other concerns all records


class CannotReplay(Exception):
    """The service cannot be reached, or takes no records from us."""


class _Rejected(msgspec.Struct):
    reason: str = ""


class _Answer(msgspec.Struct):
    msg: str = ""
    accepted: int = 0
    duplicates: int = 0
    rejected: tuple[_Rejected, ...] = ()


class IngestCall:
    """Sends records to the service at `url`, such as http://127.0.0.1:8080, with an API key if there is one."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        self._headers = {"Accept": "application/json", "User-Agent": "aggregator-dead-letters"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    async def send(self, raw: bytes) -> str:
        """Send a record; return why it is no trade, or an empty text if it is stored. Raises CannotReplay."""
        status, body = await asyncio.to_thread(self._post, raw)
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.MsgspecError as error:
            raise CannotReplay(f"{self._url} answered {status}, and not as the service does") from error
        if status not in _SEE_EACH:
            raise CannotReplay(f"{self._url} answered {status}: {answer.msg}")
        if answer.accepted or answer.duplicates:
            return ""
        return answer.rejected[0].reason if answer.rejected else answer.msg

    def _post(self, raw: bytes) -> tuple[int, bytes]:
        headers = {**self._headers, "Content-Type": _type_of(raw)}
        connection, path = self._connection()
        try:
            connection.request("POST", path, raw, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST_ANSWER)
        except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a key that is no header
            raise CannotReplay(f"{self._url} cannot be reached: {error}") from error
        finally:
            connection.close()

    def _connection(self) -> tuple[http.client.HTTPConnection, str]:
        try:
            parts = urlsplit(self._url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise CannotReplay(f"--url {self._url!r} is no address: {error}") from error
        if parts.scheme not in ("http", "https") or not host:
            raise CannotReplay(f"--url {self._url!r} must be as http://127.0.0.1:8080")
        path = f"{parts.path.rstrip('/')}/ingest"
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_SECONDS), path
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context), path


def _type_of(raw: bytes) -> str:
    """Return the media type of a record: a text is JSON; protobuf of a trade has bytes that are no text."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "application/x-protobuf"
    is_text = all(one.isprintable() or one.isspace() for one in text)
    return "application/json" if is_text else "application/x-protobuf"
