"""API keys: the requests that may read, and those that may write, such as POST /ingest. Without keys, all may do both.

Wrong keys are rate limited, for each client address and for all addresses together.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network

from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from aggregator.api.routing.responses import Code, Refusal, refuse

Headers = Iterable[tuple[bytes, bytes]]

NO_KEY = Refusal("An API key is needed: Authorization: Bearer … or X-API-Key", Code.KEY_NEEDED)
WRONG_KEY = Refusal("The API key is not valid", Code.KEY_INVALID)
READ_ONLY_KEY = Refusal("This API key is for reading only", Code.KEY_READ_ONLY)
TOO_MANY_WRONG_KEYS = Refusal(
    "Too many API keys that are not valid have come from this address", Code.TOO_MANY_INVALID_KEYS
)


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
        self.writes_need_one = bool(api_keys)

    def check_write(self, request: HTTPConnection) -> None:
        """Raise the response 401 (no key), 403 (the key does not allow writes) or 429 (too many wrong keys)."""
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

    def client_of(self, request: HTTPConnection) -> bytes:
        """Return what tells clients apart in rate limits: a digest of the key, which has been checked, or the address.

        A key that nothing checks tells nothing: a client could invent another one for each request.
        """
        key = _key_in(request.scope["headers"]) if self._to_read or self._to_write else None
        return _address(request.client.host if request.client else "").encode() if key is None else _digest(key)

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


_PAUSE = 6.0  # seconds that each wrong key adds to the debt of its address
_BURST = 10  # wrong keys at once before the address must wait
_PAUSE_OF_ALL = 0.1  # the same for all addresses together
_BURST_OF_ALL = 100
_MOST = 10_000  # addresses in memory, about 200 bytes each


class Attempts:
    """Counts wrong keys as debts of time: each wrong key adds a pause, and passing time reduces the debt.

    An address may try 10 wrong keys at once, and then one every 6 s. All addresses together may try 100 at once, and
    then ten a second; beyond that, every address with a debt must wait. An address without a debt never waits, so the
    guesses of others cannot lock out a valid key. Memory is bounded: the oldest debts are dropped.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owed_until: dict[str, float] = {}  # by address, ordered by the time of the last wrong key
        self._all_owe_until = 0.0

    def wait(self, client: str) -> float:
        """Return the seconds until this client may try a key; 0 if it may now."""
        if not self._owed_until:
            return 0.0
        now = self._clock()
        owed = self._owed_until.get(_address(client), 0.0) - now
        if owed <= 0:
            return 0.0
        return max(0.0, owed - _PAUSE * (_BURST - 1), self._all_owe_until - now - _PAUSE_OF_ALL * (_BURST_OF_ALL - 1))

    def failed(self, client: str) -> None:
        """Count a wrong key of this client."""
        now, address = self._clock(), _address(client)
        self._forget(now)
        self._owed_until[address] = max(now, self._owed_until.pop(address, 0.0)) + _PAUSE
        self._all_owe_until = max(now, self._all_owe_until) + _PAUSE_OF_ALL

    def _forget(self, now: float) -> None:
        """Drop debts that are paid off, and the oldest if there are too many."""
        while self._owed_until:
            address, until = next(iter(self._owed_until.items()))
            if until > now and len(self._owed_until) < _MOST:
                return
            del self._owed_until[address]


def _address(client: str) -> str:
    """Return the key of a client: its IPv4 address, or the /64 of its IPv6 address, all of which one client can use."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if address.version == 4:  # noqa: PLR2004  # the 4 of IPv4 is no magic value
        return str(address)
    return str(address.ipv4_mapped or ip_network((address.packed[:8] + bytes(8), 64)))
