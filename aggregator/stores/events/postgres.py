"""`postgresql://user@host:5432/database[?sslmode=…]`: events and positions in a PostgreSQL database.

asyncpg is not imported until the stores are created.
"""

from aggregator.stores.definition import OpenStep
from aggregator.stores.events.definition import CreatedEventStores, EventStoreKind, EventStoreParts
from aggregator.stores.postgres.address import EXAMPLE, FORM, REMEDY, parse_postgres_url


def _create(url: str, parts: EventStoreParts) -> CreatedEventStores:
    from aggregator.stores.events.postgres_tables import (  # noqa: PLC0415  # it imports asyncpg
        PostgresEvents,
        PostgresPositions,
    )

    events = PostgresEvents(parse_postgres_url(url), parts.postgres_password, parts.retention, parts.now)
    return CreatedEventStores(events, PostgresPositions(events), [OpenStep(events.open, REMEDY, "events_url")])


POSTGRES = EventStoreKind(example=EXAMPLE, form=FORM, check=parse_postgres_url, create=_create)
