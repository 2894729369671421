"""The calls as values. Each function returns the Request, or Pages, of one call; `api.Api` makes methods of them."""

from rt_price_aggregator_client.calls import alerts, history, paper, prices, service, trades

__all__ = ["alerts", "history", "paper", "prices", "service", "trades"]
