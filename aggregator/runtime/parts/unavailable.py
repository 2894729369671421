"""Reasons why a process has no anomalies or no news: for its routes, and for outlets that want them."""

from aggregator.api.events import anomalies, sentiment
from aggregator.api.routing.responses import Refusal
from aggregator.libraries.extras import has_extra
from aggregator.settings import Settings


def why_no_anomalies(settings: Settings) -> Refusal | None:
    """Return why no process looks for anomalies; None if one does. A process of role api may lack the library."""
    if settings.anomalies == "false":
        return anomalies.SWITCHED_OFF
    return None if settings.finds_anomalies or settings.role == "api" else anomalies.NOT_INSTALLED


def why_no_news(settings: Settings) -> Refusal | None:
    """Return why this process cannot read news; None if it can, or if other processes read them."""
    return None if settings.role == "api" or has_extra("news") else sentiment.NOT_INSTALLED
