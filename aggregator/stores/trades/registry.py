"""Every store of trades by the scheme of its URL. A new one is a module with a TradeStoreKind and a line in STORES."""

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
    """Return the store of the URL's scheme. Raises ValueError where there is none."""
    store = STORES.get(url.partition("://")[0])
    if store is None:
        raise ValueError(f"must be {' or '.join(one.example for one in STORES.values())}")
    return store


def trade_forms() -> str:
    """Return the form of every store's URL, for the documentation of settings."""
    return " or ".join(store.form for store in STORES.values())
