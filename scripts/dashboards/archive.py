"""The row of the dashboard Trades about the archive."""

from scripts.dashboards.board import Row
from scripts.dashboards.panels import from_goal, lines
from scripts.dashboards.queries import or_zero


def archive_row() -> Row:
    """Return the row."""
    return Row(
        "Archive",
        [
            lines(
                "Archive: lag",
                "How long the oldest complete range has waited. Line: the alert, an hour.",
                [("max(archive_lag_seconds{@})", "lag")],
                "s",
                steps=from_goal(3600),
                alert="ArchiveBehind",
            ),
            lines(
                "Ranges with events that the archive may lack",
                "One or two in normal operation: the current ones.",
                [("sum(archive_pending_ranges{@})", "ranges")],
                "none",
                alert="ArchiveBehind",
            ),
            lines(
                "Rows archived",
                "Per second, those of files that are written again included.",
                [("sum by (dataset) (rate(archive_rows_total{@}[@]))", "{{dataset}}")],
                "suffix:/s",
                empty="Nothing archived in this time",
            ),
            lines(
                "Bytes archived",
                "Per second.",
                [("sum by (dataset) (rate(archive_bytes_total{@}[@]))", "{{dataset}}")],
                "Bps",
                empty="Nothing archived in this time",
            ),
            lines(
                "Archive: errors and compactions",
                "Per second: writes that failed and are tried again, and hours whose files were joined.",
                [
                    ("sum(rate(archive_errors_total{@}[@]))", "errors"),
                    (or_zero("sum(rate(archive_compactions_total{@}[@]))"), "compactions"),
                ],
                "suffix:/s",
                alert="ArchiveBehind",
            ),
        ],
    )
