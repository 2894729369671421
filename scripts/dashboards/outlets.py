"""The row of the dashboard Signals about outlets."""

from scripts.dashboards.board import Row
from scripts.dashboards.panels import lines
from scripts.dashboards.queries import or_zero


def outlets_row() -> Row:
    """Return the row."""
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
                empty="No outlet",
            ),
            lines(
                "Events waiting for outlets",
                "In the outbox of outlets.",
                [("max by (outlet) (outlet_events_waiting{@})", "{{outlet}}")],
                "none",
                alert="OutletBehind",
                empty="No outlet",
            ),
            lines(
                "Age of the oldest event",
                "How long it has waited for the outlet.",
                [("max by (outlet) (outlet_oldest_age_seconds{@})", "{{outlet}}")],
                "s",
                alert="OutletBehind",
                empty="No outlet",
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
                empty="No outlet",
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
                empty="No outlet",
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
                empty="No outlet",
            ),
            lines(
                "Events given up",
                "Per second, by topic; `rest` are trades and headlines.",
                [(or_zero("sum by (topic) (rate(outlet_events_given_up_total{@}[@]))", "topic"), "{{topic}}")],
                "suffix:/s",
                alert="OutletEventsGivenUp",
            ),
            lines(
                "Dead letters of outlets",
                "Events refused three times: those that are kept, and new ones per second.",
                [
                    ("max(outlet_dead_letters{@})", "kept"),
                    (
                        or_zero("sum by (outlet) (rate(outlet_dead_letters_added_total{@}[@]))", "outlet"),
                        "{{outlet}}, new",
                    ),
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
