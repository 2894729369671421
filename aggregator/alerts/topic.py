"""The topic of alerts."""

from decimal import Decimal

import msgspec

from aggregator.alerts.rules import Kind
from aggregator.live.topics import Retention, Topic


class Alert(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A rule has fired, identified by (asset, timestamp, id).

    `timestamp` is the time of the price, trade or headline that made it fire. `value` is what was compared with
    `level`: a price, percent, a score or a sentiment; `level` is null where the rule names none.
    """

    id: str
    rule: str
    kind: Kind
    asset: str
    timestamp: float
    value: Decimal
    level: Decimal | None
    message: str
    outlet: str | None = None


def _asset(alert: Alert) -> str:
    return alert.asset


def _rule_and_asset(alert: Alert) -> str:
    return f"{alert.rule} {alert.asset}"


ALERTS = Topic("alerts", "alert", Alert, asset=_asset, key=_rule_and_asset, retention=Retention(events=1000))
