"""The dashboard Signals: anomalies, paper signals and positions, headlines, and alerts of users' rules."""

from scripts.dashboards.board import INSTANCES, Row, dashboard
from scripts.dashboards.outlets import outlets_row
from scripts.dashboards.panels import Json, from_goal, lines, stat

_AGE = "time() - max by (source) (news_source_last_read_timestamp_seconds{@})"
_SCORED = "sum(rate(anomalies_scored_total{@}[@]))"


def board() -> Json:
    """Return the dashboard."""
    about = (
        "Anomalies, signals and positions of the paper strategy, headlines, alerts, and the outlets that events go to."
    )
    rows = [_now(), _anomalies(), _strategy(), _news(), _events(), outlets_row()]
    return dashboard("price-signals", "Prices: signals", about, [INSTANCES], rows)


def _now() -> Row:
    return Row(
        "Now",
        [
            stat("Models", "Assets that have a model of their trades.", "sum(anomalies_models{@})", "none", width=4),
            stat("Trades scored", "Per second.", _SCORED, "suffix:/s", width=4),
            stat(
                "Open positions",
                "Positions of the paper strategy. No order is sent.",
                "sum(strategy_open_positions{@})",
                "none",
                width=4,
            ),
            stat(
                "Oldest news",
                "How long ago the source that has been quiet for longest has answered. Above 15 minutes is an alert.",
                f"max({_AGE})",
                "s",
                from_goal(300, 900),
                "NewsSourceDown",
                width=4,
                empty="no source",
            ),
            stat("Rules", "Rules of alerts that are evaluated.", "max(alerts_rules{@})", "none", width=4),
            stat(
                "Events waiting",
                "Anomalies, signals, headlines and alerts that wait for the store.",
                "sum(analytics_events_waiting{@})",
                "none",
                alert="EventsDropped",
                width=4,
            ),
        ],
    )


def _anomalies() -> Row:
    return Row(
        "Anomalies",
        [
            lines(
                "Trades scored, waiting, dropped",
                "Scored and dropped per second. Trades are dropped when too many wait: they are not scored.",
                [
                    (_SCORED, "scored"),
                    ("sum(anomalies_waiting{@})", "waiting"),
                    ("sum(rate(anomalies_dropped_total{@}[@]))", "dropped"),
                ],
                "none",
            ),
            lines(
                "Fits",
                "Models fitted per second, by outcome.",
                [("sum by (outcome) (rate(anomalies_fits_total{@}[@]))", "{{outcome}}")],
                "suffix:/s",
                alert="AnomalyFitsBehind",
            ),
            lines(
                "Fits waiting",
                "Models that wait to be fitted. Above the line for an hour is an alert.",
                [("sum by (instance) (anomalies_fits_waiting{@})", "{{instance}}")],
                "none",
                steps=from_goal(100),
                alert="AnomalyFitsBehind",
            ),
            lines(
                "CPU time",
                "Of the worker process, as share of a core.",
                [
                    ("sum(rate(anomalies_scoring_seconds_total{@}[@]))", "scoring"),
                    ("sum(rate(anomalies_fit_seconds_total{@}[@]))", "fits"),
                ],
                "percentunit",
                alert="AnomalyFitsBehind",
            ),
            lines(
                "Worker restarts",
                "Per second: the worker process ended or did not answer.",
                [("sum by (instance) (rate(anomalies_worker_restarts_total{@}[@]))", "{{instance}}")],
                "suffix:/s",
            ),
        ],
    )


def _strategy() -> Row:
    return Row(
        "Paper strategy",
        [
            lines(
                "Signals",
                "Per second, by side and reason. No order is sent.",
                [("sum by (side, reason) (rate(strategy_signals_total{@}[@]))", "{{side}} {{reason}}")],
                "suffix:/s",
            ),
            lines(
                "Positions open",
                "Paper positions, by instance.",
                [("sum by (instance) (strategy_open_positions{@})", "{{instance}}")],
                "none",
            ),
            lines(
                "Positions closed",
                "With and without profit, since the start of the processes. The amounts are in /positions/closed.",
                [("sum by (outcome) (strategy_positions_closed_total{@})", "{{outcome}}")],
                "none",
            ),
            lines(
                "Assets read again",
                "Per second: a signal was not stored, so the positions of its asset were read again.",
                [("sum by (instance) (rate(strategy_assets_reloaded_total{@}[@]))", "{{instance}}")],
                "suffix:/s",
                alert="EventsDropped",
            ),
        ],
    )


def _news() -> Row:
    return Row(
        "News",
        [
            lines(
                "Headlines by source",
                "Articles per second, by source and outcome.",
                [("sum by (source, outcome) (rate(news_articles_total{@}[@]))", "{{source}} {{outcome}}")],
                "suffix:/s",
                alert="NewsSourceDown",
                empty="No source of news",
            ),
            lines(
                "Headlines joined",
                "Per second: headlines whose time is near an unusual volume, by strength.",
                [("sum by (strength) (rate(news_joined_total{@}[@]))", "{{strength}}")],
                "suffix:/s",
                empty="No source of news",
            ),
            lines(
                "Sources: last answer",
                "How long ago each source has answered. Line: the alert.",
                [(_AGE, "{{source}}")],
                "s",
                steps=from_goal(900),
                alert="NewsSourceDown",
                empty="No source of news",
            ),
            lines(
                "Sources: failures",
                "Calls per second that gave no articles, by source and reason.",
                [("sum by (source, reason) (rate(news_source_errors_total{@}[@]))", "{{source}} {{reason}}")],
                "suffix:/s",
                alert="NewsSourceDown",
                empty="No source of news",
            ),
        ],
    )


def _events() -> Row:
    return Row(
        "Events and alerts",
        [
            lines(
                "Events stored",
                "Per second, by topic: anomalies, signals, sentiment and alerts.",
                [("sum by (topic) (rate(analytics_events_stored_total{@}[@]))", "{{topic}}")],
                "suffix:/s",
            ),
            lines(
                "Events dropped",
                "Per second, by topic: neither stored nor published.",
                [("sum by (topic) (rate(analytics_events_dropped_total{@}[@]))", "{{topic}}")],
                "suffix:/s",
                alert="EventsDropped",
            ),
            lines(
                "Store of events: failures",
                "Calls per second, by reason.",
                [("sum by (reason) (rate(analytics_store_errors_total{@}[@]))", "{{reason}}")],
                "suffix:/s",
                alert="EventsDropped",
            ),
            lines(
                "Alerts fired",
                "Per second, by kind of the rule.",
                [("sum by (kind) (rate(alerts_fired_total{@}[@]))", "{{kind}}")],
                "suffix:/s",
            ),
        ],
    )
