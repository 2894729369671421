"""The headers by which a receiver knows that a delivery is ours and has not been sent again later. Pure.

They follow the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` (unix seconds), and
`webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body` under the shared secret.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping

LEAST_SECRET, MOST_SECRET = 16, 512
"""Bytes of a secret."""

_ENCODED = "whsec_"


def secret_bytes(text: str) -> bytes:
    """Return the key of a secret: its text, or the bytes of a base64 text after `whsec_`. Raises ValueError."""
    text = text.strip()
    try:
        key = base64.b64decode(text.removeprefix(_ENCODED), validate=True) if text.startswith(_ENCODED) else b""
    except binascii.Error as error:
        raise ValueError("the secret of a webhook must have base64 after whsec_") from error
    key = key or text.encode()
    if not LEAST_SECRET <= len(key) <= MOST_SECRET:
        raise ValueError(f"the secret of a webhook must have {LEAST_SECRET} to {MOST_SECRET} bytes")
    return key


def delivery_id(keys: Iterable[str]) -> str:
    """Return the id of a delivery of the events with these keys: the same when it is sent again."""
    digest = hashlib.sha256("\n".join(keys).encode())
    return f"msg_{digest.hexdigest()[:32]}"


def delivery_headers(name: str, timestamp: int, body: bytes, secret: bytes | None) -> Mapping[str, str]:
    """Return the headers of a delivery at unix second `timestamp`; without a secret, they have no signature."""
    headers = {"Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        digest = hmac.digest(secret, f"{name}.{timestamp}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers
