"""The features of a trade that a model is about. Pure."""

from aggregator.trades.analytic import Measured

FEATURES = ("price", "volume", "volume_zscore", "price_momentum", "vwap_deviation", "trade_frequency")
"""The order in every vector. `vwap_deviation` is relative: a share of the price."""

SIZE = len(FEATURES)

Sample = tuple[float, float, float, float, float, float]


def sample_of(measured: Measured) -> Sample | None:
    """Return the features of a trade in the order of FEATURES; None while one of them is not known."""
    features, trade = measured.features, measured.trade
    zscore, momentum, deviation = features.volume_zscore, features.price_momentum, features.vwap_deviation
    if zscore is None or momentum is None or deviation is None or trade.volume is None:
        return None
    price = float(trade.price)
    relative = deviation / price if price else 0.0  # a price below the least float is 0
    return price, float(trade.volume), zscore, momentum, relative, float(features.trade_frequency)
