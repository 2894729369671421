"""The dashboard Signals: anomalies, paper signals and positions, headlines, and alerts of users' rules."""

from scripts.dashboards.board import INSTANCES, Row, dashboard
from scripts.dashboards.panels import Json, from_goal, lines, stat

_AGE = "time() - max by (source) (news_source_last_read_timestamp_seconds{@})"
_SCORED = "sum(rate(anomalies_scored_total{@}[@]))"


def board() -> Json:
    """Return the dashboard."""
    about = (
        "Anomalies, signals and positions of the paper strategy, headlines, alerts, and the outlets that events go to."
    )
    rows = [_now(), _anomalies(), _strategy(), _news(), _events(), _outlets()]
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
            ),
            lines(
                "Headlines joined",
                "Per second: headlines whose time is near an unusual volume, by strength.",
                [("sum by (strength) (rate(news_joined_total{@}[@]))", "{{strength}}")],
                "suffix:/s",
            ),
            lines(
                "Sources: last answer",
                "How long ago each source has answered. Line: the alert.",
                [(_AGE, "{{source}}")],
                "s",
                steps=from_goal(900),
                alert="NewsSourceDown",
            ),
            lines(
                "Sources: failures",
                "Calls per second that gave no articles, by source and reason.",
                [("sum by (source, reason) (rate(news_source_errors_total{@}[@]))", "{{source}} {{reason}}")],
                "suffix:/s",
                alert="NewsSourceDown",
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


def _outlets() -> Row:
    return Row(
        "Outlets",
        [
            lines(
                "Events sent",
                "Per second: written to the outbox, and taken by the outlet.",
                [
                    ("sum by (outlet) (rate(outlet_events_handed_total{@}[@]))", "{{outlet}}, written"),
                    ("sum by (outlet) (rate(outlet_events_delivered_total{@}[@]))", "{{outlet}}, taken"),
                ],
                "suffix:/s",
            ),
            lines(
                "Events waiting for outlets",
                "In the outbox of outlets.",
                [("max by (outlet) (outlet_events_waiting{@})", "{{outlet}}")],
                "none",
                alert="OutletBehind",
            ),
            lines(
                "Age of the oldest event",
                "How long it has waited for the outlet.",
                [("max by (outlet) (outlet_oldest_age_seconds{@})", "{{outlet}}")],
                "s",
                alert="OutletBehind",
            ),
            lines(
                "From outbox to outlet, p99",
                "Time from the outbox to the outlet's answer.",
                [
                    (
                        "histogram_quantile(0.99, sum by (outlet, le) (rate(outlet_delay_seconds_bucket{@}[@])))",
                        "{{outlet}}",
                    )
                ],
                "s",
            ),
            lines(
                "Sent again, or not at all",
                "Per second: sent again; of these, what may arrive twice; and not sent, as the key was sent before.",
                [
                    ("sum by (outlet) (rate(outlet_retries_total{@}[@]))", "{{outlet}}, again"),
                    ("sum by (outlet) (rate(outlet_events_unsure_total{@}[@]))", "{{outlet}}, may arrive twice"),
                    ("sum by (outlet) (rate(outlet_events_deduplicated_total{@}[@]))", "{{outlet}}, sent before"),
                ],
                "suffix:/s",
            ),
            lines(
                "State of outlets",
                "0 takes events, 1 is away or throttles, 2 has ended; and the number of processes that send to it.",
                [
                    ("max by (outlet) (outlet_away{@})", "{{outlet}}"),
                    ("sum by (outlet) (outlet_sending{@})", "{{outlet}}, senders"),
                ],
                "none",
                alert="OutletEnded",
            ),
            lines(
                "Events given up",
                "Per second, by topic; `rest` are trades and headlines.",
                [("sum by (topic) (rate(outlet_events_given_up_total{@}[@]))", "{{topic}}")],
                "suffix:/s",
                alert="OutletEventsGivenUp",
            ),
            lines(
                "Dead letters of outlets",
                "Events refused three times: those that are kept, and new ones per second.",
                [
                    ("max(outlet_dead_letters{@})", "kept"),
                    ("sum by (outlet) (rate(outlet_dead_letters_added_total{@}[@]))", "{{outlet}}, new"),
                ],
                "none",
                alert="OutletDeadLetters",
            ),
            lines(
                "Outbox of outlets",
                "Bytes in use of its file.",
                [("max(outlet_outbox_bytes{@})", "bytes")],
                "decbytes",
            ),
        ],
    )
