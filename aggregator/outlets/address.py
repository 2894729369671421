"""The setting OUTLETS: addresses of outlets with their filters, separated by semicolons. Pure.

    sqs://queue?topics=prices,anomalies&assets=btcusdt,ethusdt&tier=hot&min_gap=10;kafka://broker:9092/topic;stdout://

No message of an error has a part of an address in it other than the names of options: an address may have a secret.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec

from aggregator.outlets.filters import Filter, parse_condition

TOPICS = ("prices", "trades", "anomalies", "signals", "sentiment", "alerts")
FILTERS = ("topics", "assets", "tier", "min_gap", "where", "name")
MOST_OUTLETS = 20
_DEFAULT_TOPICS = "prices"
_TIERS = ("hot", "medium", "cold")
_MOST_ASSETS, _MOST_CONDITIONS = 1000, 5
_MOST_GAP = 86_400.0
_MOST_LENGTH = 8192
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_ASSET = re.compile(r"[a-z0-9]{1,32}")
_GAP = re.compile(r"\d{1,5}(?:\.\d{1,3})?", re.ASCII)
_SCHEME = re.compile(r"([a-z][a-z0-9]{0,15})://(.*)", re.DOTALL)
_TOKEN = re.compile(r"/(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[^/]{12,}|/[^/]{24,}")  # a part of a path
_NOT_IN_NAME = re.compile(r"[^a-z0-9]+")


class OutletAddress(msgspec.Struct, frozen=True):
    """An outlet of the settings. `place` is what is between the scheme and the options of its own, `options`.

    The `rest` are parameters that belong to the receiver's address; only some kinds take any.
    """

    name: str
    scheme: str
    place: str
    options: Mapping[str, str]
    filter: Filter
    rest: Sequence[tuple[str, str]] = ()

    @property
    def url(self) -> str:
        """The receiver's address, without options and filters. It may have a secret: not for messages."""
        query = urlencode(self.rest)
        return f"{self.scheme}://{self.place}{'?' + query if query else ''}"

    @property
    def may_show_secret(self) -> bool:
        """Whether parameters of a webhook's receiver, or a long part of its path, may be a token."""
        is_webhook = self.scheme in ("http", "https")
        return is_webhook and (bool(self.rest) or _TOKEN.search(self.place) is not None)

    def __repr__(self) -> str:
        return f"OutletAddress({self.name})"


class Form(NamedTuple):
    """The form of a kind's addresses: an example, its own options, and whether other parameters are the receiver's."""

    example: str
    options: Collection[str] = ()
    keeps_rest: bool = False


def parse_outlets(text: str, forms: Mapping[str, Form]) -> list[OutletAddress]:
    """Return the outlets of a text. Raises ValueError, whose message names the number of the outlet."""
    parts = [part.strip() for part in text.split(";") if part.strip()]
    if len(parts) > MOST_OUTLETS:
        raise ValueError(f"more than {MOST_OUTLETS} outlets")
    found: list[OutletAddress] = []
    for number, part in enumerate(parts, start=1):
        try:
            found.append(_outlet(part, forms))
        except ValueError as error:
            raise ValueError(f"outlet {number}: {error}") from None
    names = [one.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two outlets have the name {twice}; give each a name of its own: name=…")
    return found


def _outlet(text: str, forms: Mapping[str, Form]) -> OutletAddress:
    match = _SCHEME.fullmatch(text)
    if match is None or match[1] not in forms or len(text) > _MOST_LENGTH:
        raise ValueError(f"must be one of {', '.join(form.example for form in forms.values())}")
    scheme, form = match[1], forms[match[1]]
    place, _, query = match[2].partition("?")
    if "#" in text:
        raise ValueError(f"{scheme}:// takes no # part")
    pairs = parse_qsl(query, keep_blank_values=True)
    ours = [(name, value) for name, value in pairs if name in FILTERS or name in form.options]
    rest = [pair for pair in pairs if pair not in ours]
    if rest and not form.keeps_rest:
        unknown = ", ".join(sorted({repr(name[:32]) for name, _ in rest}))
        raise ValueError(f"{scheme}:// takes {', '.join((*FILTERS, *form.options))}, not {unknown}")
    names = [name for name, _ in ours if name != "where"]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{scheme}:// takes {twice} once")
    given = dict(ours)
    options = {name: value for name, value in given.items() if name in form.options}
    conditions = [value for name, value in ours if name == "where"]
    return OutletAddress(_name(given, scheme, place), scheme, place, options, _filter(given, conditions), tuple(rest))


def _filter(given: Mapping[str, str], conditions: Sequence[str]) -> Filter:
    if len(conditions) > _MOST_CONDITIONS:
        raise ValueError(f"where may be there at most {_MOST_CONDITIONS} times")
    return Filter(
        frozenset(_listed("topics", given.get("topics", _DEFAULT_TOPICS), TOPICS)),
        _assets(given["assets"]) if "assets" in given else frozenset(),
        frozenset(_listed("tier", given["tier"], _TIERS)) if "tier" in given else frozenset(),
        _gap(given.get("min_gap", "0")),
        tuple(map(parse_condition, conditions)),
    )


def _listed(name: str, text: str, allowed: Sequence[str]) -> list[str]:
    found = [one.strip() for one in text.lower().split(",") if one.strip()]
    if not found or not set(found) <= set(allowed):
        why = "; features are on /stream and /ws only" if name == "topics" and "features" in found else ""
        raise ValueError(f"{name} must be a comma-separated list of {', '.join(allowed)}{why}")
    return found


def _assets(text: str) -> frozenset[str]:
    found = [one.strip() for one in text.lower().split(",") if one.strip()]
    if not 0 < len(found) <= _MOST_ASSETS or not all(map(_ASSET.fullmatch, found)):
        raise ValueError(f"assets must be a comma-separated list of 1 to {_MOST_ASSETS} symbols, such as btcusdt")
    return frozenset(found)


def _gap(text: str) -> float:
    if not _GAP.fullmatch(text) or float(text) > _MOST_GAP:
        raise ValueError(f"min_gap must be 0 to {_MOST_GAP:.0f} seconds")
    return float(text)


def _name(given: Mapping[str, str], scheme: str, place: str) -> str:
    if "name" in given:
        if not _NAME.fullmatch(given["name"]):
            raise ValueError("name must have 1 to 63 small letters, digits, dots, dashes and underscores")
        return given["name"]
    host = place.rpartition("@")[2].lower().split("/")
    last = host[-1] if scheme == "kafka" else host[0]  # a path of HTTP may have a secret
    return f"{scheme}-{_NOT_IN_NAME.sub('-', last).strip('-')}".strip("-")[:63]
