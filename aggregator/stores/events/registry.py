"""Every kind of stores of events by the scheme of its URL. A new one is a module and a line in STORES."""

from aggregator.stores.definition import forms_of, kind_of
from aggregator.stores.events.definition import EventStoreKind
from aggregator.stores.events.dynamodb import DYNAMODB
from aggregator.stores.events.memory import MEMORY
from aggregator.stores.events.postgres import POSTGRES
from aggregator.stores.events.sqlite import SQLITE

STORES: dict[str, EventStoreKind] = {
    "sqlite": SQLITE,
    "dynamodb": DYNAMODB,
    "postgresql": POSTGRES,
    "memory": MEMORY,
}


def event_store(url: str) -> EventStoreKind:
    """Return the kind of the URL's scheme. Raises ValueError where there is none."""
    return kind_of(url, STORES)


def event_forms() -> str:
    """Return the form of every kind's URL, for the documentation of settings."""
    return forms_of(STORES)
