"""The HTTP client of commands: one connection to POST /ingest. It blocks, and is meant for a thread."""

import http.client
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from aggregator.errors import CannotGoOn

MOST_OF_ANSWER = 4 << 20  # bytes: 1,000 rejections with their reasons have less
_LONGEST_KEY = 4096  # characters


class WrongAddress(CannotGoOn):
    """The address or the key cannot be used: nothing was sent."""


class Unreachable(Exception):
    """There was no complete answer. The service may have stored the trades all the same."""


class Reply(NamedTuple):
    """An answer: its status, its headers by lower-case name, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class IngestClient:
    """Sends records to the service at `url`, such as http://127.0.0.1:8080; with an API key if there is one.

    `timeout` is in seconds, for connecting and for each wait on the connection. Raises WrongAddress.
    """

    def __init__(self, url: str, key: str | None, timeout: float) -> None:
        self._path, self._connection = _connection(url, timeout)
        self._headers = {"Accept": "application/json", "User-Agent": "aggregator"}
        if key:
            if not (key.isascii() and key.isprintable() and len(key) <= _LONGEST_KEY):
                raise WrongAddress("AGGREGATOR_API_KEY has characters that no key has")
            self._headers["Authorization"] = f"Bearer {key}"

    def post(self, body: bytes, content_type: str) -> Reply:
        """Send a body; return the answer, whatever its status. Raises Unreachable; the next call connects anew."""
        try:
            self._connection.request("POST", self._path, body, {**self._headers, "Content-Type": content_type})
            answer = self._connection.getresponse()
            found = answer.read(MOST_OF_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
        if len(found) > MOST_OF_ANSWER:
            self._connection.close()
            raise Unreachable(f"an answer of more than {MOST_OF_ANSWER} bytes")
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, found)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _connection(url: str, timeout: float) -> tuple[str, http.client.HTTPConnection]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(url) from error
    plain = url.isascii() and url.isprintable() and " " not in url
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.username
        or parts.query
        or parts.fragment
        or not plain
    ):
        raise _wrong(url)
    path = f"{parts.path.rstrip('/')}/ingest"
    if parts.scheme == "http":
        return path, http.client.HTTPConnection(host, port, timeout=timeout)
    return path, http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())


def _wrong(url: str) -> WrongAddress:
    return WrongAddress(f"--url {url[:80]!r} is not the address of a service", "name it as in http://127.0.0.1:8080")
