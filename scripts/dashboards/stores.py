"""The row about stores: written, waiting and refused prices."""

from scripts.dashboards.board import Row
from scripts.dashboards.panels import from_goal, lines
from scripts.dashboards.queries import mean, quantile


def stores() -> Row:
    """Return the row."""
    return Row(
        "Stores",
        [
            lines(
                "Prices written",
                "Per second, into each store.",
                [("sum by (store) (rate(price_store_written_total{@}[@]))", "{{store}}")],
                "suffix:/s",
            ),
            lines(
                "Store calls that failed",
                "Per second, by reason.",
                [("sum by (store, reason) (rate(price_store_errors_total{@}[@]))", "{{store}} {{reason}}")],
                "suffix:/s",
                alert="StoreFailing",
            ),
            lines(
                "Prices per write",
                "Prices that arrive during a write go into the next one: a slower store gets larger batches.",
                [
                    (mean("price_store_batch_prices", "store"), "{{store}} mean"),
                    (f"ceil({quantile(0.95, 'price_store_batch_prices', 'store')})", "{{store}} p95"),
                ],
                "none",
            ),
            lines(
                "Outbox",
                "Prices waiting for DynamoDB, and dead letters, which it has refused for good.",
                [("sum(price_outbox_rows{@})", "waiting"), ("sum(price_dead_letters{@})", "dead letters")],
                "none",
                alert="DeadLetters",
            ),
            lines(
                "Outbox: how long the oldest has waited",
                "Line: the alert, 5 minutes.",
                [("max(price_outbox_oldest_age_seconds{@})", "oldest")],
                "s",
                steps=from_goal(300),
                alert="OutboxGrowing",
            ),
            lines(
                "Outbox: size, and what was lost",
                "Bytes in use of its file; prices dropped per second because it was full, or not accepted by history.",
                [
                    ("sum(price_outbox_bytes{@})", "bytes"),
                    ("sum(rate(price_outbox_refused_total{@}[@]))", "given up per second"),
                    ("sum(rate(price_history_lost_total{@}[@]))", "lost per second"),
                ],
                "short",
                alert="OutboxFull",
            ),
            lines(
                "DynamoDB latency",
                "One BatchWriteItem or one Query. Empty when the history is a SQLite file.",
                [
                    (quantile(share, f"price_dynamodb_{way}_latency_seconds"), f"{way} p{100 * share:g}")
                    for way in ("write", "read")
                    for share in (0.5, 0.95)
                ],
                "s",
                empty="The history is not in DynamoDB",
            ),
            lines(
                "DynamoDB capacity",
                "Consumed units per second. DynamoDB charges for these.",
                [(f"sum(rate(price_dynamodb_{way}_units_total{{@}}[@]))", way) for way in ("write", "read")],
                "suffix:/s",
            ),
            lines(
                "DynamoDB trouble",
                "Per second: failed calls, and items that DynamoDB returned to be sent again.",
                [
                    ("sum(rate(price_dynamodb_errors_total{@}[@]))", "failed calls"),
                    ("sum(rate(price_dynamodb_retries_total{@}[@]))", "items sent again"),
                ],
                "suffix:/s",
            ),
        ],
    )
