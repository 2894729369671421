"""The answers about alerts.

`scripts/client_models` makes this module from /openapi.json. A test checks it.
"""

from datetime import datetime
from decimal import Decimal

import msgspec


class AlertRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is kept: the fields that were sent, defaults filled in, with its id and the time of its creation."""

    id: str
    created_at: datetime
    asset: str
    kind: str
    """One of: anomaly, change, price, sentiment, spread."""
    above: Decimal | None = None
    below: Decimal | None = None
    percent: Decimal | None = None
    seconds: int | None = None
    direction: str | None = None
    """One of: any, down, up."""
    strength: str | None = None
    """One of: moderate, strong, weak."""
    hysteresis: Decimal | None = None
    cooldown: int
    outlet: str | None = None


class AlertRuleList(msgspec.Struct, frozen=True, kw_only=True):
    """The rules, in the order of their creation."""

    rules: list[AlertRule]


class AlertRuleDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """A rule is deleted."""

    message: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule has fired, identified by (asset, timestamp, id).

    `timestamp` is the time of the price, trade or headline that made it fire. `value` is what was compared with
    `level`: a price, percent, a score or a sentiment; `level` is null where the rule names none.
    """

    id: str
    rule: str
    kind: str
    """One of: anomaly, change, price, sentiment, spread."""
    asset: str
    timestamp: datetime
    value: Decimal
    level: Decimal | None
    message: str
    outlet: str | None = None


class FiredAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts of an asset in the last `hours`, newest first."""

    asset: str
    hours: int
    count: int
    alerts: list[Alert]
