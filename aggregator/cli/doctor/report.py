"""The report: findings as lines or as JSON, without any secret."""

from collections.abc import Collection, Iterable, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from aggregator.cli.doctor.checks import Finding, Level
from aggregator.exchanges.targets import exchange_targets
from aggregator.settings import Settings
from aggregator.settings.loader import named_as_given
from aggregator.stores.events.registry import event_store
from aggregator.stores.registry import history_store
from aggregator.stores.trades.registry import trade_store

_CODES = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2}
_HIDDEN = "***"


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of the findings."""
    return max((one.level for one in findings), key=_CODES.__getitem__, default=Level.OK)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 when all is well, 1 with warnings, 2 with failures."""
    return _CODES[worst(findings)]


def as_text(findings: Sequence[Finding]) -> str:
    """Return one line for each finding."""
    width = max(len(one.check) for one in findings)
    return "".join(f"{one.level:<4}  {one.check:<{width}}  {_sentence(one)}\n" for one in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return one line: `{"level": …, "checks": [{"check": …, "level": …, "says": …, "mend": …}]}`."""
    return msgspec.json.encode({"level": worst(findings), "checks": findings}).decode() + "\n"


def without_secrets(findings: Iterable[Finding], settings: Settings) -> list[Finding]:
    """Return the findings with every secret of the settings replaced by `***`, also in texts from outside."""
    secrets = sorted(_secrets(settings), key=len, reverse=True)  # a secret may be part of a longer one
    return [
        msgspec.structs.replace(one, says=_redacted(one.says, secrets), mend=_redacted(one.mend, secrets))
        for one in findings
    ]


def with_flags(findings: Iterable[Finding], flags: Collection[str]) -> list[Finding]:
    """Return the findings with the settings that were given as flags named as these."""
    return [
        msgspec.structs.replace(one, says=named_as_given(one.says, flags), mend=named_as_given(one.mend, flags))
        for one in findings
    ]


def place(url: str) -> str:
    """Return the scheme, host and port of an address: nothing in them is secret."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}"


def _sentence(finding: Finding) -> str:
    text = f"{finding.says.removesuffix('.')}; {finding.mend}" if finding.mend else finding.says
    return " ".join(text.split())  # an error text may have several lines


def _redacted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(settings: Settings) -> set[str]:
    """Return the API keys, and the passwords in addresses: before an @, or as `password` in the query."""
    history = history_store(settings.history_url).check(settings.history_url)
    trades = trade_store(settings.trades_url).check(settings.trades_url)
    events = event_store(settings.events_url).check(settings.events_url)
    urls = [
        settings.cache_url,
        settings.history_url,
        *(getattr(one, "endpoint", None) or "" for one in (history, trades, events)),
    ]
    urls += [target.url for target in exchange_targets(settings.exchanges)]
    found = {key.get_secret_value() for key in settings.api_keys}
    passwords = (settings.kafka_password, settings.postgres_password)
    found.update(filter(None, (one.get_secret_value() for one in passwords)))
    for url in urls:
        split = urlsplit(url)
        found.update(filter(None, [split.password, *parse_qs(split.query).get("password", [])]))
    return found | {unquote(secret) for secret in found}
