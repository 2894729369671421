"""Who may read, and who may force a refresh: everyone where no key is set, else who shows one of the keys."""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterable, Sequence

from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from aggregator.api.attempts import Attempts
from aggregator.api.responses import refuse

Headers = Iterable[tuple[bytes, bytes]]

_OPEN = frozenset({"/", "/docs", "/openapi.json", "/health", "/ready", "/metrics"})
_OPEN_BELOW = ("/page/", "/docs/")
_NO_KEY = "An API key is needed: Authorization: Bearer … or X-API-Key"


class Keys:
    """The valid keys, several at once so that they can be rotated; kept and compared as digests.

    `api_keys` may do everything; `read_keys` only read, which needs no key where there are none of these.
    """

    def __init__(
        self,
        api_keys: Sequence[SecretStr] = (),
        read_keys: Sequence[SecretStr] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._to_write = [_digest(key.get_secret_value().encode()) for key in api_keys]
        self._to_read = [_digest(key.get_secret_value().encode()) for key in read_keys]
        self._attempts = Attempts(clock)
        self.reads_need_one = bool(read_keys)

    def check_refresh(self, request: HTTPConnection) -> None:
        """Raise the answer 401 (no key shown), 403 (not one that may refresh) or 429 (too many wrong ones)."""
        refusal = self._refusal(request, self._to_write) if self._to_write else None
        if refusal is not None:
            raise refusal

    def refused_read(self, request: HTTPConnection) -> HTTPException | None:
        """Return why this call, whatever it is, needs a key that it does not have; None where it may go on."""
        if not self.reads_need_one or is_open(request.scope["path"]):
            return None
        return self._refusal(request, self._to_read + self._to_write)

    def may_read(self, client: str, headers: Headers) -> bool:
        """Whether these headers have a key that may read; False also where only the long way can tell."""
        shown = _shown(headers)
        return (
            shown is not None and not self._attempts.wait(client) and _is_one_of(shown, self._to_read + self._to_write)
        )

    def _refusal(self, request: HTTPConnection, valid: Sequence[bytes]) -> HTTPException | None:
        shown = _shown(request.scope["headers"])
        if shown is None:
            return refuse(401, _NO_KEY, {"WWW-Authenticate": "Bearer"})
        client = request.client.host if request.client else ""
        wait = self._attempts.wait(client)
        if wait:  # before the key is looked at: a guess that is not compared is none
            retry = {"Retry-After": str(max(1, math.ceil(wait)))}
            return refuse(429, "Too many API keys that are not valid have come from this address", retry)
        if _is_one_of(shown, valid):
            return None
        if _is_one_of(shown, self._to_read):
            return refuse(403, "This API key is for reading only")
        self._attempts.failed(client)
        return refuse(403, "The API key is not valid")


def is_open(path: str) -> bool:
    """Whether a path needs no key ever: what probes and scrapers ask, the document, and the files of the pages."""
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _shown(headers: Headers) -> bytes | None:
    """Return the key that is shown, or None: a bearer token goes before X-API-Key."""
    key = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer" and token.strip():
                return token.strip()
        elif name == b"x-api-key":
            key = value.strip()
    return key


def _is_one_of(shown: bytes, digests: Sequence[bytes]) -> bool:
    """Compare with every digest, in constant time."""
    digest = _digest(shown)
    matches = [hmac.compare_digest(digest, valid) for valid in digests]  # all of them, whichever it is
    return any(matches)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
