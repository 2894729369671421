"""The row of the dashboard Trades about the trade feeds of exchanges."""

from scripts.dashboards.board import Row
from scripts.dashboards.panels import Panel, lines

_FEED_STATES = [("0", "disconnected", "red"), ("1", "connected", "green")]
_AGE = "time() - max by (exchange, instance) (trades_feed_last_timestamp_seconds{@} > 0)"


def feeds_row() -> Row:
    """Return the row."""
    return Row(
        "Trade feeds of exchanges",
        [
            Panel(
                "state-timeline",
                "Trade feed",
                "Of each process that subscribes to trades: connected or not. Empty while TRADE_FEEDS is false.",
                [("trades_feed_connected{@}", "{{exchange}} ({{instance}})")],
                "none",
                steps=[(None, "red"), (1.0, "green")],
                values=_FEED_STATES,
                alert="TradeFeedSilent",
                empty="No trade feed",
            ),
            lines(
                "Last trade of a feed",
                "Seconds since the feed last brought a trade.",
                [(_AGE, "{{exchange}} ({{instance}})")],
                "s",
                alert="TradeFeedSilent",
                empty="No trade feed",
            ),
            lines(
                "Gaps",
                "Interruptions of a feed per second: filled from the venue's recent trades, or not.",
                [("sum by (exchange, outcome) (rate(trades_feed_gaps_total{@}[@]))", "{{exchange}} {{outcome}}")],
                "suffix:/s",
                alert="TradeFeedSilent",
                empty="No trade feed",
            ),
        ],
    )
