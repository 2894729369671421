"""The side of a server in logins by SASL: PLAIN (RFC 4616), SCRAM (RFC 5802, 7677), OAUTHBEARER (RFC 7628)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

_ITERATIONS = 4096
_NO_BINDING = base64.b64encode(b"n,,").decode()


class Refused(Exception):
    """The client is not who it says."""


class Conversation(Protocol):
    """One login."""

    def answer(self, message: bytes) -> tuple[bytes, bool]:
        """Return the answer to a message, and whether the client is signed in. Raises Refused."""


class Bearer:
    """OAUTHBEARER with the tokens that `accepts` takes."""

    def __init__(self, accepts: Callable[[str], bool]) -> None:
        self._accepts = accepts

    def answer(self, message: bytes) -> tuple[bytes, bool]:
        """As `Conversation.answer`."""
        if not self._accepts(message.decode().split("auth=Bearer ")[1].split("\x01")[0]):
            raise Refused
        return b"", True


class Plain:
    """PLAIN with these users and passwords."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users

    def answer(self, message: bytes) -> tuple[bytes, bool]:
        """As `Conversation.answer`."""
        _, user, password = message.decode().split("\0")
        if self._users.get(user) != password:
            raise Refused
        return b"", True


class Scram:
    """SCRAM with these users and passwords; `digest` is sha256 or sha512."""

    def __init__(self, users: Mapping[str, str], digest: str) -> None:
        self._users = users
        self._digest = digest
        self._salted = b""
        self._said: list[str] = []
        self._nonce = ""

    def answer(self, message: bytes) -> tuple[bytes, bool]:
        """As `Conversation.answer`."""
        return self._last(message.decode()) if self._said else self._first(message.decode())

    def _first(self, text: str) -> tuple[bytes, bool]:
        said = text.removeprefix("n,,")
        found = dict(part.split("=", 1) for part in said.split(","))
        user = found["n"].replace("=2C", ",").replace("=3D", "=")
        if user not in self._users:
            raise Refused
        salt = secrets.token_bytes(16)
        self._salted = hashlib.pbkdf2_hmac(self._digest, self._users[user].encode(), salt, _ITERATIONS)
        self._nonce = found["r"] + secrets.token_hex(8)
        answer = f"r={self._nonce},s={base64.b64encode(salt).decode()},i={_ITERATIONS}"
        self._said = [said, answer]
        return answer.encode(), False

    def _last(self, text: str) -> tuple[bytes, bool]:
        said, _, proof = text.rpartition(",p=")
        if said != f"c={_NO_BINDING},r={self._nonce}":
            raise Refused
        everything = ",".join([*self._said, said])
        stored = hashlib.new(self._digest, self._keyed(self._salted, "Client Key")).digest()
        signature = self._keyed(stored, everything)
        key = bytes(one ^ other for one, other in zip(base64.b64decode(proof), signature, strict=True))
        if not hmac.compare_digest(hashlib.new(self._digest, key).digest(), stored):
            raise Refused
        ours = self._keyed(self._keyed(self._salted, "Server Key"), everything)
        return b"v=" + base64.b64encode(ours), True

    def _keyed(self, key: bytes, text: str) -> bytes:
        return hmac.digest(key, text.encode(), self._digest)
