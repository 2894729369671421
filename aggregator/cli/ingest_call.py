"""One record to POST /ingest of a running service."""

import asyncio

import msgspec

from aggregator.cli.ingest_client import IngestClient, Reply, Unreachable, WrongAddress

_SECONDS = 30.0
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
        self._key = key

    async def send(self, raw: bytes) -> str:
        """Send a record; return why it is no trade, or an empty text if it is stored. Raises CannotReplay."""
        status, _, body = await asyncio.to_thread(self._post, raw)
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise CannotReplay(f"{self._url} answered {status}, and not as the service does") from error
        if status not in _SEE_EACH:
            raise CannotReplay(f"{self._url} answered {status}: {answer.msg}")
        if answer.accepted or answer.duplicates:
            return ""
        return answer.rejected[0].reason if answer.rejected else answer.msg

    def _post(self, raw: bytes) -> Reply:
        try:
            client = IngestClient(self._url, self._key, _SECONDS)
        except WrongAddress as error:
            raise CannotReplay(str(error)) from error
        try:
            return client.post(raw, _type_of(raw))
        except Unreachable as error:
            raise CannotReplay(f"{self._url} cannot be reached: {error}") from error
        finally:
            client.close()


def _type_of(raw: bytes) -> str:
    """Return the media type of a record: a text is JSON; protobuf of a trade has bytes that are no text."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "application/x-protobuf"
    is_text = all(one.isprintable() or one.isspace() for one in text)
    return "application/json" if is_text else "application/x-protobuf"
