"""The setting EXCHANGES: the names of the exchanges, their dialects and addresses. Pure."""

import re
from urllib.parse import urlsplit

import msgspec

from aggregator.exchanges.registry import DIALECTS, PUSHING, TRADING

REPLAY = "replay"

_NAME = r"(?P<name>[a-z0-9_-]{1,32})"
_EXCHANGE = re.compile(
    rf"({_NAME}=)?(?P<dialect>(ccxt:)?[a-z0-9]{{1,32}})"
    r"(\+(?P<url>https?://[^\s/?#+]+[^\s+]*))?(?P<push>\+ws(?=$|\+))?(\+(?P<push_url>wss?://[^\s/?#+]+[^\s+]*))?"
)
_REPLAY = re.compile(rf"({_NAME}=)?{REPLAY}\+file://(?P<path>\S+)")
_LIBRARY = re.compile(r"ccxt:([a-z0-9]{1,32})")
_MOCK = "mock"  # the only dialect without a public address
_PUBLIC = [name for name in DIALECTS if name != _MOCK]


class ExchangeTarget(msgspec.Struct, frozen=True):
    """One exchange: the name under which prices show it, its dialect, its address (empty: the dialect's public one).

    `push_url` is the address of its feed, empty for the dialect's public one; None if it is only polled. A mock
    exchange has no public address: its feed is at `url`. With the dialect `ccxt:NAME` the exchange is asked through
    that library. With `replay`, the address is the path of a recording.
    """

    name: str
    dialect: str
    url: str
    push_url: str | None = None

    @property
    def library(self) -> str:
        """The library's name of the exchange; empty for a dialect of our own."""
        found = _LIBRARY.fullmatch(self.dialect)
        return found[1] if found else ""

    @property
    def trades_url(self) -> str | None:
        """The address of its feed of trades, empty for the public one; None if its dialect has no trades."""
        if self.dialect not in TRADING:
            return None
        if self.push_url is not None:
            return self.push_url
        return _with_socket(self.url) if self.dialect == _MOCK else ""


def has_mock(text: str) -> bool:
    """Whether one of the exchanges is a mock exchange, whose prices are made up. Raises ValueError."""
    return any(target.dialect == _MOCK for target in exchange_targets(text))


def exchange_targets(text: str) -> list[ExchangeTarget]:
    """Return the exchanges in `name=dialect+url,…` or `binance,…`. Raises ValueError naming every wrong entry."""
    targets: list[ExchangeTarget] = []
    wrong: list[str] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        target = _exchange_target(entry)
        if isinstance(target, str):
            wrong.append(target)
        elif target.name in {known.name for known in targets}:
            wrong.append(f"{target.name!r} is named twice")
        else:
            targets.append(target)
    if not targets and not wrong:
        wrong.append("no exchange is named")
    if wrong:
        raise ValueError("; ".join(wrong))
    return targets


def has_valid_port(url: str) -> bool:
    """Whether the port of an address, if it has one, is from 1 to 65535."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _exchange_target(entry: str) -> ExchangeTarget | str:
    """Return the exchange of one entry, or what is wrong with the entry."""
    recording = _REPLAY.fullmatch(entry)
    if recording is not None:
        return _replay(recording["name"], recording["path"]) or f"{entry!r}: name it, as in name={entry}"
    match = _EXCHANGE.fullmatch(entry)
    if match is None or not (match["name"] or _is_known(match["dialect"])):
        return f"{entry!r} is neither name=dialect+http://host:port nor one of {', '.join(_PUBLIC)}, ccxt:NAME"
    pushed = match["push"] is not None or match["push_url"] is not None
    name = match["name"] or match["dialect"].removeprefix("ccxt:")
    url, push_url = match["url"] or "", match["push_url"] or ""
    if match["dialect"] == _MOCK and not push_url:
        push_url = _with_socket(url)
    target = ExchangeTarget(name, match["dialect"], url, push_url if pushed else None)
    return _mistake(target, entry) or target


def _with_socket(url: str) -> str:
    """Return the WebSocket address of the same host and port."""
    return url.replace("http", "ws", 1)


def _mistake(target: ExchangeTarget, entry: str) -> str:
    """Return what is wrong with the exchange of `entry`; empty if nothing is."""
    if not _is_known(target.dialect):
        return f"{target.dialect!r} is no known dialect ({', '.join(DIALECTS)})"
    if target.dialect == _MOCK and not (target.url and "=" in entry):
        return f"{entry!r}: {_MOCK} has no public address; name={_MOCK}+http://host:port"
    if not (has_valid_port(target.url) and has_valid_port(target.push_url or "")):
        return f"{entry!r} has a port that is not from 1 to 65535"
    if target.push_url is not None and target.dialect not in PUSHING:
        return f"{entry!r}: {target.dialect} does not push ({', '.join(PUSHING)} do)"
    return ""


def _is_known(dialect: str) -> bool:
    return dialect in DIALECTS or _LIBRARY.fullmatch(dialect) is not None


def _replay(name: str | None, path: str) -> ExchangeTarget | None:
    """Return the exchange of a recording. Without a name, it gets that of the file up to the first dot."""
    found = name or path.rpartition("/")[2].partition(".")[0]
    return ExchangeTarget(found, REPLAY, path) if re.fullmatch(_NAME, found) else None
