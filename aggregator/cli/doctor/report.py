"""What was found, as lines or as JSON, without anything secret."""

from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from aggregator.cli.doctor.examination import Finding, Level
from aggregator.exchanges.targets import exchange_targets
from aggregator.settings import Settings

_CODES = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2}
_HIDDEN = "***"


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level among them."""
    return max((one.level for one in findings), key=_CODES.__getitem__, default=Level.OK)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 when all is well, 1 when something should be watched, 2 when something does not work."""
    return _CODES[worst(findings)]


def as_text(findings: Sequence[Finding]) -> str:
    """Return a line for each finding."""
    width = max(len(one.check) for one in findings)
    return "".join(f"{one.level:<4}  {one.check:<{width}}  {_sentence(one)}\n" for one in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return `{"level": …, "checks": [{"check": …, "level": …, "says": …, "mend": …}]}` in one line."""
    return msgspec.json.encode({"level": worst(findings), "checks": findings}).decode() + "\n"


def without_secrets(findings: Iterable[Finding], settings: Settings) -> list[Finding]:
    """Return the findings with every secret of the settings blotted out, in whoever's words it stands."""
    secrets = sorted(_secrets(settings), key=len, reverse=True)  # one may be a part of another
    return [
        msgspec.structs.replace(one, says=_blotted(one.says, secrets), mend=_blotted(one.mend, secrets))
        for one in findings
    ]


def place(url: str) -> str:
    """Return an address without what is secret in it: scheme, host and port."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}"


def _sentence(finding: Finding) -> str:
    text = f"{finding.says}; {finding.mend}" if finding.mend else finding.says
    return " ".join(text.split())  # what others say may come in several lines


def _blotted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(settings: Settings) -> set[str]:
    """Return the keys, and whatever stands before an @ in an address or as `password` in its query."""
    urls = [settings.cache_url, settings.history_url]
    urls += parse_qs(urlsplit(settings.history_url).query).get("endpoint", [])
    urls += [target.url for target in exchange_targets(settings.exchanges)]
    found = {key.get_secret_value() for key in settings.api_keys}
    for url in urls:
        split = urlsplit(url)
        found.update(filter(None, [split.password, *parse_qs(split.query).get("password", [])]))
    return found | {unquote(secret) for secret in found}
