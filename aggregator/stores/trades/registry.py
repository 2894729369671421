"""Every store of trades by the scheme of its URL. A new one is a module with a TradeStoreKind and a line in STORES."""

from aggregator.stores.definition import forms_of, kind_of
from aggregator.stores.trades.definition import TradeStoreKind
from aggregator.stores.trades.dynamodb import DYNAMODB
from aggregator.stores.trades.memory import MEMORY
from aggregator.stores.trades.postgres import POSTGRES
from aggregator.stores.trades.sqlite import SQLITE

STORES: dict[str, TradeStoreKind] = {
    "sqlite": SQLITE,
    "dynamodb": DYNAMODB,
    "postgresql": POSTGRES,
    "memory": MEMORY,
}


def trade_store(url: str) -> TradeStoreKind:
    """Return the kind of the URL's scheme. Raises ValueError where there is none."""
    return kind_of(url, STORES)


def trade_forms() -> str:
    """Return the form of every kind's URL, for the documentation of settings."""
    return forms_of(STORES)
