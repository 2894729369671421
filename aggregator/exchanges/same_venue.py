"""Finds exchanges of the setting EXCHANGES that are one venue: its two tickers must not count as two sources. Pure.

Two exchanges are one venue if they share an address, polled or pushed, or are both at public addresses of one venue,
whether in our dialect or through ccxt. Those on this machine are not compared: one mock may stand for several exchanges
there. Two host names of one machine are not recognised.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import PurePath
from urllib.parse import urlsplit

from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.targets import REPLAY, ExchangeTarget

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OTHER_NAMES = {"coinbaseexchange": "coinbase", "coinbaseadvanced": "coinbase"}  # of ccxt


def check_venues(targets: Sequence[ExchangeTarget]) -> None:
    """Raise ValueError if two of the exchanges are one venue."""
    known = [(target.name, _identities(target)) for target in targets]
    wrong = [
        f"{one} and {other} are the same venue: name it once, as it must not count as two sources"
        for (one, its), (other, others) in combinations(known, 2)
        if its & others
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _identities(target: ExchangeTarget) -> set[str]:
    if target.dialect == REPLAY:
        return {f"file {PurePath(target.url)}"}
    if urlsplit(target.url).hostname in _LOOPBACK:
        return set()
    addresses = [target.url] if target.push_url is None else [target.url, target.push_url]
    venue = _OTHER_NAMES.get(target.library, target.library) or target.dialect
    return {_identity(address) if address else venue for address in addresses}


def _identity(address: str) -> str:
    """Return the venue at whose public addresses this one is, or else the address without scheme, user and query."""
    parts = urlsplit(address)
    host = (parts.hostname or "").rstrip(".")
    for dialect, make in DIALECTS.items():
        domain = _domain(make().public_url)
        if domain and (host == domain or host.endswith(f".{domain}")):
            return dialect
    return f"{host}:{parts.port or _PORTS[parts.scheme]}{parts.path.rstrip('/')}"


def _domain(url: str) -> str:
    """Return the last two labels of the host, such as binance.com; empty without a host."""
    return ".".join((urlsplit(url).hostname or "").split(".")[-2:])
