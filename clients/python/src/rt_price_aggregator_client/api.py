"""The methods that Client and AsyncClient have in common."""

from rt_price_aggregator_client import calls
from rt_price_aggregator_client.call import Call, PagedCall
from rt_price_aggregator_client.stream_call import StreamCall
from rt_price_aggregator_client.stream_session import StreamOptions


class Api:
    """One method for each call; in AsyncClient, they return awaitables and asynchronous iterators.

    All raise the errors of `errors`: Refused for an error status, by its kind, and ConnectionFailed.
    """

    price = Call(calls.prices.price)
    prices = Call(calls.prices.prices)
    sources = Call(calls.prices.sources)
    sparklines = Call(calls.prices.sparklines)
    refresh = Call(calls.prices.refresh)

    history = PagedCall(calls.history.history)
    history_with_sources = PagedCall(calls.history.history_with_sources)
    price_at = Call(calls.history.price_at)
    price_at_with_sources = Call(calls.history.price_at_with_sources)
    candles = Call(calls.history.candles)

    trades = PagedCall(calls.trades.trades)
    last_trades = Call(calls.trades.last_trades)
    quote = Call(calls.trades.quote)
    aggregations = Call(calls.trades.aggregations)
    features = Call(calls.trades.features)
    anomalies = Call(calls.trades.anomalies)
    sentiment = Call(calls.trades.sentiment)

    signals = PagedCall(calls.paper.signals)
    positions = Call(calls.paper.positions)
    closed_positions = PagedCall(calls.paper.closed_positions)
    closed_totals = Call(calls.paper.closed_totals)

    alert_rules = Call(calls.alerts.alert_rules)
    add_alert_rule = Call(calls.alerts.add_alert_rule)
    delete_alert_rule = Call(calls.alerts.delete_alert_rule)
    fired_alerts = Call(calls.alerts.fired_alerts)

    assets = Call(calls.service.assets)
    exchanges = Call(calls.service.exchanges)
    exchange = Call(calls.service.exchange)
    health = Call(calls.service.health)
    ready = Call(calls.service.ready)

    stream = StreamCall(StreamOptions)
