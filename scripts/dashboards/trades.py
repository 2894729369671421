"""The dashboard Trades: trades taken in, rejected, waiting and stored, and the trade feeds of the exchanges."""

from scripts.dashboards.archive import archive_row
from scripts.dashboards.board import INSTANCES, Row, dashboard
from scripts.dashboards.panels import Json, Query, from_goal, lines, stat
from scripts.dashboards.queries import or_zero, quantile
from scripts.dashboards.trade_feeds import feeds_row

_INGESTED = "sum(rate(trades_ingested_total{@}[@]))"
_STORED = "trades_ingest_to_stored_seconds"
_P99 = "max(instance:trades_ingest_to_stored_seconds:p99_5m{@})"
_REJECTED = "instance_source:trades_rejected:ratio5m{@}"


def board() -> Json:
    """Return the dashboard."""
    about = "Trades: taken in by source, rejected, waiting, stored, and the trade feeds of the exchanges."
    rows = [_now(), _taken_in(), _stored(), _outbox(), archive_row(), feeds_row()]
    return dashboard("price-trades", "Prices: trades", about, [INSTANCES], rows)


def _sizes(histogram: str) -> list[Query]:
    """Return the mean and the 99th percentile of a histogram of batch sizes."""
    mean = f"sum(rate({histogram}_sum{{@}}[@])) / (sum(rate({histogram}_count{{@}}[@])) > 0)"
    return [(mean, "mean"), (f"ceil({quantile(0.99, histogram)})", "p99")]


def _now() -> Row:
    return Row(
        "Now",
        [
            stat("Trades", "Stored per second, of all sources.", or_zero(_INGESTED), "suffix:/s", width=4),
            stat(
                "Waiting",
                "Trades in the event log that are not stored yet.",
                "sum(trades_backlog{@})",
                "none",
                alert="TradesWaiting",
                width=4,
            ),
            stat(
                "Oldest waiting",
                "How long the oldest of them has waited. Above 5 s for two minutes is an alert.",
                "max(trades_backlog_seconds{@})",
                "s",
                from_goal(1, 5),
                "TradesWaiting",
                width=4,
            ),
            stat(
                "Ingest to stored, p99",
                "Over five minutes. Above 0.5 s is an alert.",
                _P99,
                "s",
                from_goal(0.1, 0.5),
                "TradesSlow",
                width=4,
                empty="no trades",
            ),
            stat(
                "Rejected",
                "Largest share of a source's records that are no trades, over five minutes. Above 1 % is an alert.",
                or_zero(f"max({_REJECTED})"),
                "percentunit",
                from_goal(0.001, 0.01),
                "TradesRejected",
                width=4,
            ),
            stat(
                "Feeds connected",
                "Trade feeds of exchanges that are connected; none while TRADE_FEEDS is false.",
                "sum(trades_feed_connected{@} == 1) or vector(0)",
                "none",
                alert="TradeFeedSilent",
                width=4,
            ),
        ],
    )


def _taken_in() -> Row:
    return Row(
        "Taken in",
        [
            lines(
                "Trades ingested",
                "Stored per second, by source: `ingest` is POST /ingest.",
                [(or_zero("sum by (source) (rate(trades_ingested_total{@}[@]))", "source"), "{{source}}")],
                "suffix:/s",
            ),
            lines(
                "Duplicates",
                "Per second: trades that were stored before, by source. They have no further effect.",
                [(or_zero("sum by (source) (rate(trades_duplicates_total{@}[@]))", "source"), "{{source}}")],
                "suffix:/s",
            ),
            lines(
                "Late, refused, and not published",
                "Per second. Late trades are stored but have no part in windows; refused trades got 503, because the"
                " backlog was full. Trades and features that were not published reached no other process, because Redis"
                " was away for too long.",
                [
                    ("sum(rate(trades_late_total{@}[@]))", "late"),
                    ("sum(rate(trades_refused_total{@}[@]))", "refused"),
                    (or_zero("sum(rate(trades_unpublished_total{@}[@]))"), "not published"),
                ],
                "suffix:/s",
                alert="TradesWaiting",
            ),
            lines(
                "Records rejected by reason",
                "Per second: records that are no trades, by source.",
                [
                    (
                        or_zero("sum by (source, reason) (rate(trades_rejected_total{@}[@]))", "reason"),
                        "{{source}} {{reason}}",
                    )
                ],
                "suffix:/s",
                alert="TradesRejected",
            ),
            lines(
                "Records rejected, of all",
                "Share of a source's records, over five minutes. Above the line is an alert.",
                [(or_zero(f"max by (source) ({_REJECTED})", "source"), "{{source}}")],
                "percentunit",
                steps=from_goal(0.01),
                highest=1,
                alert="TradesRejected",
            ),
            lines(
                "Dead letters",
                "Rejected records per second that were kept, by source, and those that could not be kept.",
                [
                    (or_zero("sum by (source) (rate(trades_dead_letters_total{@}[@]))", "source"), "{{source}} kept"),
                    ("sum(rate(trades_dead_letters_lost_total{@}[@]))", "lost"),
                ],
                "suffix:/s",
                alert="TradeDeadLettersLost",
            ),
        ],
    )


def _stored() -> Row:
    return Row(
        "Stored",
        [
            lines(
                "Waiting trades",
                "Trades in the event log that are not stored yet.",
                [("sum by (instance) (trades_backlog{@})", "{{instance}}")],
                "none",
                alert="TradesWaiting",
            ),
            lines(
                "How long the oldest has waited",
                "Line: the alert, 5 s for two minutes.",
                [("max by (instance) (trades_backlog_seconds{@})", "{{instance}}")],
                "s",
                steps=from_goal(5),
                alert="TradesWaiting",
            ),
            lines(
                "Lag by partition",
                "Records of each partition of a Kafka topic that are not processed yet.",
                [("max by (partition) (trades_partition_lag_records{@})", "{{partition}}")],
                "none",
                alert="TradesWaiting",
                empty="The log is neither Kafka nor Kinesis",
            ),
            lines(
                "Lag by partition, in seconds",
                "Age of the last processed record of each partition, while others wait.",
                [("max by (partition) (trades_partition_lag_seconds{@})", "{{partition}}")],
                "s",
                alert="TradesWaiting",
                empty="The log is neither Kafka nor Kinesis",
            ),
            lines(
                "Records without a value",
                "Per second; they are ignored.",
                [("sum by (instance) (rate(trades_empty_records_total{@}[@]))", "{{instance}}")],
                "suffix:/s",
            ),
            lines(
                "Trades per write",
                "Trades that arrive during a write go into the next one.",
                _sizes("trades_batch_size"),
                "none",
                empty="No trades",
            ),
            lines(
                "Ingest to stored",
                "From the arrival of a trade to its being stored and published. Line: the alert.",
                [(quantile(share, _STORED), f"p{100 * share:g}") for share in (0.5, 0.99)],
                "s",
                steps=from_goal(0.5),
                alert="TradesSlow",
                empty="No trades",
            ),
            lines(
                "Store write",
                "One write of a batch. After ten slow writes (mean above 0.1 s) the processor pauses for 0.5 s.",
                [(quantile(share, "trades_store_seconds"), f"p{100 * share:g}") for share in (0.5, 0.99)],
                "s",
                alert="TradesSlow",
                empty="No trades",
            ),
            lines(
                "Time by stage",
                "Time spent in each stage, as share of a core: parse, store, windows, publish.",
                [("sum by (stage) (rate(trades_stage_seconds_total{@}[@]))", "{{stage}}")],
                "percentunit",
            ),
            lines(
                "Calls that Kinesis refused",
                "Per second, because there were too many. They are repeated.",
                [("sum by (operation) (rate(trades_log_throttled_total{@}[@]))", "{{operation}}")],
                "suffix:/s",
                empty="The log is not Kinesis",
            ),
        ],
    )


def _outbox() -> Row:
    return Row(
        "Outbox of trades, before DynamoDB",
        [
            lines(
                "Trades in the outbox",
                "Trades waiting for DynamoDB, and dead letters, which it has refused for good. Zero with other stores.",
                [
                    ("sum(trades_outbox_rows{@})", "waiting"),
                    ("sum(trades_outbox_dead_letters{@})", "dead letters"),
                ],
                "none",
                alert="TradesRefused",
            ),
            lines(
                "Outbox: how long the oldest trade has waited",
                "Line: the alert, 5 minutes.",
                [("max(trades_outbox_oldest_age_seconds{@})", "oldest")],
                "s",
                steps=from_goal(300),
                alert="TradesOutboxGrowing",
            ),
            lines(
                "Outbox: size",
                "Bytes of its file that are in use.",
                [("sum(trades_outbox_bytes{@})", "bytes")],
                "bytes",
                alert="TradesOutboxGrowing",
            ),
            lines(
                "Trades sent to DynamoDB",
                "Per second: trades that DynamoDB has taken, and those that it has refused for good.",
                [
                    ("sum(rate(trades_outbox_sent_total{@}[@]))", "sent"),
                    ("sum(rate(trades_outbox_dead_letters_added_total{@}[@]))", "refused"),
                ],
                "suffix:/s",
                alert="TradesOutboxGrowing",
            ),
            lines(
                "Trades per BatchWriteItem",
                "DynamoDB takes at most 25 items in one call.",
                _sizes("trades_outbox_batch_size"),
                "none",
                empty="The store of trades is not DynamoDB",
            ),
        ],
    )
