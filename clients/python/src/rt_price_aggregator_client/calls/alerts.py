"""Calls about alerts."""

from decimal import Decimal
from typing import Literal

import msgspec

from rt_price_aggregator_client.models import AlertRule, AlertRuleDeleted, AlertRuleList, FiredAlerts
from rt_price_aggregator_client.parameters import parameters, path
from rt_price_aggregator_client.request import Request, answer, get, then

_rules = then(answer(AlertRuleList), lambda found: found.rules)
_rule = answer(AlertRule)
_deleted = then(answer(AlertRuleDeleted), lambda _: None)
_fired = answer(FiredAlerts)
_JSON = {"Content-Type": "application/json"}
Level = Decimal | float | None


def alert_rules() -> Request[list[AlertRule]]:
    """Return all rules."""
    return get(path("alerts"), _rules)


def add_alert_rule(
    asset: str,
    kind: Literal["price", "change", "spread", "anomaly", "sentiment"],
    *,
    above: Level = None,
    below: Level = None,
    percent: Level = None,
    seconds: int | None = None,
    direction: Literal["up", "down", "any"] | None = None,
    strength: Literal["weak", "moderate", "strong"] | None = None,
    hysteresis: Level = None,
    cooldown: int | None = None,
    outlet: str | None = None,
) -> Request[AlertRule]:
    """Add a rule and return it with its id; `docs/alerts.md` has the meaning of the fields for each kind.

    A rule with the same fields that is there already is returned instead, so the call can be repeated. Needs an API key
    where the service has keys. Raises BadRequest for fields that do not fit, Conflict at the limit.
    """
    fields = {
        "asset": asset,
        "kind": kind,
        "above": above,
        "below": below,
        "percent": percent,
        "seconds": seconds,
        "direction": direction,
        "strength": strength,
        "hysteresis": hysteresis,
        "cooldown": cooldown,
        "outlet": outlet,
    }
    body = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    return Request("POST", path("alerts"), _rule, headers=_JSON, body=body)


def delete_alert_rule(rule_id: str) -> Request[None]:
    """Delete a rule. Raises NotFound if there is none with this id."""
    return Request("DELETE", path("alerts", rule_id), _deleted, repeatable=False)


def fired_alerts(asset: str, *, hours: int = 24, limit: int = 100) -> Request[FiredAlerts]:
    """Return the alerts of an asset in the last hours, newest first."""
    return get(path("alerts", "fired", asset), _fired, parameters(hours=hours, limit=limit))
