"""API keys: which requests may read and which may force a refresh. Without keys in the settings, all may do both."""

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

NO_KEY = "An API key is needed: Authorization: Bearer … or X-API-Key"
WRONG_KEY = "The API key is not valid"
READ_ONLY_KEY = "This API key is for reading only"
TOO_MANY_WRONG_KEYS = "Too many API keys that are not valid have come from this address"


class Keys:
    """The valid keys, stored and compared as digests. Several are valid at once, so that keys can be rotated.

    `api_keys` allow everything. `read_keys` allow reading; without `read_keys`, reading needs no key.
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
        """Raise the response 401 (no key), 403 (the key does not allow a refresh) or 429 (too many wrong keys)."""
        refusal = self._refusal(request, self._to_write) if self._to_write else None
        if refusal is not None:
            raise refusal

    def refused_read(self, request: HTTPConnection) -> HTTPException | None:
        """Return the refusal of a request that needs a key and has no valid one; None if it may continue."""
        return self._refusal(request, self._to_read + self._to_write) if self.reads_need_one else None

    def may_read(self, client: str, headers: Headers) -> bool:
        """Whether these headers have a key that allows reading. If not, `refused_read` says why."""
        sent = _key_in(headers)
        return sent is not None and not self._attempts.wait(client) and _is_one_of(sent, self._to_read + self._to_write)

    def _refusal(self, request: HTTPConnection, valid: Sequence[bytes]) -> HTTPException | None:
        sent = _key_in(request.scope["headers"])
        if sent is None:
            return refuse(401, NO_KEY, {"WWW-Authenticate": "Bearer"})
        client = request.client.host if request.client else ""
        wait = self._attempts.wait(client)
        if wait:  # before the key is compared: during the wait, a guess cannot succeed
            retry = {"Retry-After": str(max(1, math.ceil(wait)))}
            return refuse(429, TOO_MANY_WRONG_KEYS, retry)
        if _is_one_of(sent, valid):
            return None
        if _is_one_of(sent, self._to_read):
            return refuse(403, READ_ONLY_KEY)
        self._attempts.failed(client)
        return refuse(403, WRONG_KEY)


def _key_in(headers: Headers) -> bytes | None:
    """Return the key in the headers, or None. A bearer token has precedence over X-API-Key."""
    key = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer" and token.strip():
                return token.strip()
        elif name == b"x-api-key":
            key = value.strip()
    return key


def _is_one_of(sent: bytes, digests: Sequence[bytes]) -> bool:
    """Whether the key is valid. Compares with every digest, each in constant time, so that timing reveals nothing."""
    digest = _digest(sent)
    matches = [hmac.compare_digest(digest, valid) for valid in digests]
    return any(matches)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
