"""Who may force a refresh: everyone when no key is set, else who shows one of the keys."""

import hashlib
import hmac
from collections.abc import Sequence

from pydantic import SecretStr
from starlette.requests import Request

from aggregator.api.answers import refuse


class Keys:
    """The valid keys, several at once so that they can be rotated; kept and compared as digests."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._digests = [_digest(key.get_secret_value()) for key in keys]

    def check(self, request: Request) -> None:
        """Raise the answer 401 (no key shown) or 403 (not a valid one); every key is compared, in constant time."""
        if not self._digests:
            return
        shown = _shown(request)
        if shown is None:
            raise refuse(
                401, "An API key is needed: Authorization: Bearer … or X-API-Key", {"WWW-Authenticate": "Bearer"}
            )
        digest = _digest(shown)
        matches = [hmac.compare_digest(digest, valid) for valid in self._digests]
        if not any(matches):
            raise refuse(403, "The API key is not valid")


def _shown(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else request.headers.get("x-api-key")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
