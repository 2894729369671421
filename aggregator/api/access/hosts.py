"""Host headers and origins: parsing, normal form and comparison. Pure.

The normal form of a host is lower case, without port and trailing dot; of an IPv6 address, in brackets and shortest
notation. The normal form of an origin is the one browsers send: `scheme://host[:port]` without the scheme's default
port.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

EVERY = "*"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(:(?P<port>[0-9]{0,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<place>[^/?#@\s]+)")
_UNSPECIFIED = ("0.0.0.0", "::", "")  # noqa: S104  # compared, not bound
_PORTS = {"http": "80", "https": "443"}


def host_and_port(text: str) -> tuple[str, str] | None:
    """Return the host in normal form and the port, which may be empty; None if the Host header is malformed."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    host = match["host"].lower().removesuffix(".")
    if host.startswith("["):
        try:
            host = f"[{ip_address(host[1:-1])}]"
        except ValueError:
            return None
    return (host, match["port"] or "") if host else None


def is_address(host: str) -> bool:
    """Whether a host in normal form is an IP address. DNS rebinding needs a name, so an address is safe."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def allowed_host(text: str) -> str:
    """Return an entry of ALLOWED_HOSTS in normal form: a host, `*.` and a domain, or `*`. Raises ValueError."""
    if text == EVERY:
        return text
    wildcard = "*." if text.startswith("*.") else ""
    bare = text.removeprefix(wildcard)
    if bare.count(":") > 1 and not bare.startswith("["):
        bare = f"[{bare}]"
    found = host_and_port(bare)
    if found is None or ":" in bare.rpartition("]")[2]:
        raise ValueError(f"{text!r} is no host: a name or an address without port, *.example.com, or *")
    return wildcard + found[0]


def default_hosts(host: str) -> tuple[str, ...]:
    """Return the allowed hosts if the setting is empty: loopback, and the address that the service listens on."""
    try:
        own = allowed_host(host)
    except ValueError:
        return LOOPBACK
    return tuple(dict.fromkeys((*LOOPBACK, own)))


def is_unspecified(host: str) -> bool:
    """Whether the setting HOST stands for every address of the machine."""
    return host in _UNSPECIFIED


def allowed_origin(text: str) -> str:
    """Return an entry of CORS_ORIGINS in normal form, or `*`. Raises ValueError."""
    if text == EVERY:
        return text
    match = _ORIGIN.fullmatch(text)
    found = host_and_port(match["place"]) if match else None
    if match is None or found is None:
        raise ValueError(f"{text!r} is no origin: scheme://host[:port] without a path, or *")
    host, port = found
    return f"{match['scheme']}://{host}" + (f":{port}" if port and port != _PORTS.get(match["scheme"]) else "")


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header has the host and port of a Host header.

    The scheme is not compared: behind a proxy that terminates TLS, the service does not know it.
    """
    match = _ORIGIN.fullmatch(origin)
    ours, theirs = host_and_port(host), host_and_port(match["place"]) if match else None
    if match is None or ours is None or theirs is None:
        return False
    usual = _PORTS.get(match["scheme"], "")
    return (ours[0], ours[1] or usual) == (theirs[0], theirs[1] or usual)


def matches(host: str, allowed: Iterable[str]) -> bool:
    """Whether a host in normal form is in `allowed`, or is a subdomain of an entry that begins with `*.`."""
    return any(one in (EVERY, host) or (one.startswith("*.") and host.endswith(one[1:])) for one in allowed)


def network(text: str) -> str:
    """Return an address or a network in normal form. Raises ValueError."""
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network such as 10.0.0.0/16") from None
