"""The dashboard Prices: one asset at each exchange, and how far the exchanges are from our prices."""

from scripts.dashboards.board import ASSET, INSTANCES, Row, dashboard
from scripts.dashboards.panels import Json, Panel, from_goal, lines

_OURS = 'instance=~"$instance"'  # for metrics without an asset, and for all hot assets
_EACH_ASSET = f"price_exchange_price{{{_OURS}}}"
_DISTANCES = f"abs(price_exchange_distance_ratio{{{_OURS}}})"
_USED = f"sum by (exchange) (rate(price_tickers_used_total{{{_OURS}}}[@]))"


def board() -> Json:
    """Return the dashboard."""
    about = (
        "The price of an asset at each exchange, the distance of each exchange from our prices, and who has no part."
    )
    return dashboard("price-prices", "Prices", about, [INSTANCES, ASSET], [_asset(), _hot_assets(), _parts()])


def _asset() -> Row:
    return Row(
        "The chosen asset",
        [
            lines(
                "Price by exchange",
                "Our price, and the newest price of each exchange, also of one whose ticker does not count.",
                [
                    ("avg by (exchange) (price_exchange_price{@})", "{{exchange}}"),
                    ("avg(price_exchange_price{@} / (1 + price_exchange_distance_ratio{@}))", "our price"),
                ],
                "none",
                width=24,
                height=9,
                lowest=None,
            ),
            lines(
                "Spread between exchanges",
                "(Highest - lowest price) / mean price.",
                [
                    (
                        "(max(price_exchange_price{@}) - min(price_exchange_price{@})) / avg(price_exchange_price{@})",
                        "spread",
                    )
                ],
                "percentunit",
                width=12,
            ),
            lines(
                "Distance from our price",
                "(Its price - our price) / our price. Above zero, the exchange is dearer.",
                [("avg by (exchange) (price_exchange_distance_ratio{@})", "{{exchange}}")],
                "percentunit",
                width=12,
                lowest=None,
            ),
        ],
    )


def _hot_assets() -> Row:
    return Row(
        "All hot assets",
        [
            lines(
                "Distance by exchange",
                "Mean over the hot assets, without the sign.",
                [(f"avg by (exchange) ({_DISTANCES})", "{{exchange}}")],
                "percentunit",
            ),
            Panel(
                "bargauge",
                "Farthest from our price",
                "The ten largest distances now, without the sign.",
                [(f"topk(10, max by (exchange, asset) ({_DISTANCES}))", "{{asset}} at {{exchange}}")],
                "percentunit",
                instant=True,
            ),
            lines(
                "Assets with a young ticker",
                "Number of hot assets of which the exchange has given a ticker during the last six hot intervals.",
                [(f"count by (exchange) (sum by (exchange, asset) ({_EACH_ASSET}))", "{{exchange}}")],
                "none",
            ),
        ],
    )


def _parts() -> Row:
    rejected = f'price_tickers_rejected_total{{{_OURS}, reason!="not_listed"}}'
    left_out = f"(sum by (exchange, reason) (rate({rejected}[@])) or 0 * {_USED})"
    of_all = f"((sum by (exchange) (rate({rejected}[@])) or 0 * {_USED}) + {_USED} > 0)"
    return Row(
        "Parts in prices, all assets",
        [
            lines(
                "Left out by reason",
                "Share of an exchange's parts in prices that are missing, by reason. Assets that it does not list"
                " do not count. The line at zero distinguishes “none” from “no data”.",
                [(f"{left_out} / on (exchange) group_left () {of_all}", "{{exchange}} {{reason}}")],
                "percentunit",
                width=12,
                highest=1,
                alert="ExchangeRejected",
            ),
            lines(
                "Assets with a single source",
                "Number of a tier's assets whose newest price is from one exchange although more list them.",
                [(f"max by (tier) (price_single_source_assets{{{_OURS}}})", "{{tier}}")],
                "none",
                width=12,
                steps=from_goal(1),
                alert="SingleSource",
            ),
        ],
    )
