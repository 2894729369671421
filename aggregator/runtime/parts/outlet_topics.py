"""The topics that a process has no events of, and that its outlets can therefore not have."""

from collections.abc import Mapping

from aggregator.outlets.address import TOPICS
from aggregator.outlets.sources import PRICES, SENTIMENT, TRADES
from aggregator.runtime.parts.unavailable import why_no_anomalies, why_no_news
from aggregator.settings import PREFIX, Settings

_ANOMALIES, _SIGNALS = "anomalies", "signals"


def missing_topics(settings: Settings) -> Mapping[str, str]:
    """Return why topics have no events in a process with these settings, by topic.

    Nothing for a role that leaves trades to other processes: these may have the same outlets.
    """
    if settings.role == "streams":
        return dict.fromkeys(set(TOPICS) - {PRICES, TRADES}, "role=streams has prices and trades only")
    if settings.role not in ("all", "processor"):
        return {}
    found: dict[str, str] = {}
    if (refusal := why_no_anomalies(settings)) is not None:
        found[_ANOMALIES] = refusal.msg
    if not settings.strategy:
        found[_SIGNALS] = f"{PREFIX}STRATEGY is false"
    if not settings.news_targets:
        found[SENTIMENT] = f"{PREFIX}NEWS names no source"
    elif (refusal := why_no_news(settings)) is not None:
        found[SENTIMENT] = refusal.msg
    return found
