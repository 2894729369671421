"""Checks `redis://` and `rediss://` URLs more strictly than redis-py, which ignores parameters it does not know."""

import re
from urllib.parse import parse_qs, urlsplit

from aggregator.stores.definition import has_valid_port

REDIS_URL = "redis://[user:password@]host:6379/0"
REDISS_URL = "rediss://user@host:6379/0?iam=cache&region=… (sign-in with AWS IAM)"

_URL = re.compile(r"rediss?://[^/\s]\S*")
_NUMBERS = frozenset({"db", "protocol", "health_check_interval"})
_ALWAYS = _NUMBERS | {"client_name"}
_TLS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})
_SIGN_IN = frozenset({"iam", "region"})


def check_redis_url(url: str) -> None:
    """Raise ValueError if `redis[s]://[user:password@]host:port/db[?name=value&…]` has a mistake; says which."""
    if not _URL.fullmatch(url) or not has_valid_port(url):
        raise ValueError("must be memory:// or redis://host:6379/0")
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    usual = _ALWAYS | _TLS | _SIGN_IN if parts.scheme == "rediss" else _ALWAYS
    known = usual | _SIGN_IN if "iam" in query else usual - _SIGN_IN
    unknown = sorted(query.keys() - known)
    if unknown:
        takes = ", ".join(sorted(usual))
        raise ValueError(f"{parts.scheme}:// takes no parameter {_shown(unknown)}, only {takes}")
    wrong = sorted(name for name in _NUMBERS & query.keys() if not re.fullmatch("[0-9]{1,9}", query[name][-1]))
    if wrong:
        raise ValueError(f"its parameter {_shown(wrong)} is no whole number")
    signs_in = parts.scheme == "rediss" and parts.username and not parts.password and "region" in query
    if "iam" in query and not signs_in:  # without TLS, the signed password could be read and used by others
        raise ValueError("with iam= it is rediss://user@host:6379/0?iam=cache&region=us-east-1")


def _shown(names: list[str]) -> str:
    """Return the names for an error message, `…` for one that may be the rest of a password with an & in it."""
    return ", ".join(repr(name if re.fullmatch("[a-z_]{1,32}", name) else "…") for name in names)
