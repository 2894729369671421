"""The address of a webhook, checked before anything connects to it. Pure.

Only one notation of each address is accepted, so that this check, the resolver and the TLS library read it alike.
"""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from aggregator.outlets.receivers.webhook.public_addresses import NO_ADDRESS, why_not_public

_MOST_CHARACTERS = 2048
_URL = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # visible ASCII without quotation mark and backslash
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")  # as the last label, it makes a host an IPv4 address to many programs
_DECIMAL = re.compile(r"(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}")
_MOST_HOST = 253
_LOCAL = ("localhost", "local", "internal", "home.arpa")  # as the last labels; names that no public resolver has
_MOST_PORT = 65_535


class WebhookTarget(NamedTuple):
    """The address that a webhook posts to. `url` may hold a secret in its path; `host` and `port` go into messages."""

    url: str
    host: str
    port: int


def webhook_target(url: str, *, allow_private: bool) -> WebhookTarget:
    """Return the checked address. Raises ValueError with a message that has only the host of the URL in it."""
    if len(url) > _MOST_CHARACTERS or not _URL.fullmatch(url):
        raise ValueError(
            f"a webhook's URL must have at most {_MOST_CHARACTERS} characters, all of them ASCII and without spaces;"
            " write the host of an international domain as xn--…"
        )
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError as error:
        raise ValueError("a webhook's URL must be https://host[:port]/path") from error
    _check_parts(found, allow_private=allow_private)
    host = found.hostname or ""
    _check_host(host, is_bracketed="[" in found.netloc, allow_private=allow_private)
    if port is not None and not 0 < port <= _MOST_PORT:
        raise ValueError(f"the port of a webhook must be 1 to {_MOST_PORT}")
    return WebhookTarget(url, host, port or (443 if found.scheme == "https" else 80))


def _check_parts(found: SplitResult, *, allow_private: bool) -> None:
    if found.scheme not in ("http", "https"):
        raise ValueError("a webhook's URL must begin with https://")
    if found.scheme == "http" and not allow_private:
        raise ValueError(
            "a webhook's URL must begin with https://; http:// needs AGGREGATOR_OUTLETS_ALLOW_PRIVATE=true"
        )
    if "@" in found.netloc:
        raise ValueError("a webhook's URL takes no user and password; use secret=env:NAME, which signs the body")
    if found.fragment:
        raise ValueError("a webhook's URL takes no fragment (#…)")


def _check_host(host: str, *, is_bracketed: bool, allow_private: bool) -> None:
    labels = host.split(".")
    is_address = is_bracketed or ":" in host or _NUMBER.fullmatch(labels[-1]) is not None
    if is_address and not is_bracketed and not _DECIMAL.fullmatch(host):
        raise ValueError(f"the host {host} of a webhook must be a name, or four decimal numbers as in 192.0.2.1")
    if not is_address and (len(host) > _MOST_HOST or not all(_LABEL.fullmatch(label) for label in labels)):
        raise ValueError("the host of a webhook must be a domain name without a dot at its end")
    kind = why_not_public(host) if is_address else _why_local(host)
    if kind == NO_ADDRESS:
        raise ValueError(f"the host {host} of a webhook is {kind}")
    if kind and not allow_private:
        raise ValueError(
            f"the host {host} of a webhook is {kind}; private hosts need AGGREGATOR_OUTLETS_ALLOW_PRIVATE=true"
        )


def _why_local(name: str) -> str:
    return "private" if any(name == one or name.endswith(f".{one}") for one in _LOCAL) else ""
