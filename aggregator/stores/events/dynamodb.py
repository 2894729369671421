"""`dynamodb://table?region=us-east-1[&endpoint=http://…]`: events and positions in a DynamoDB table.

Amazon's libraries are not imported until the stores are created.
"""

from aggregator.stores.definition import OpenStep
from aggregator.stores.dynamodb import parse_dynamodb_url
from aggregator.stores.events.definition import CreatedEventStores, EventStoreKind, EventStoreParts

_EXAMPLE = "dynamodb://events?region=us-east-1"
TABLE_REMEDY = (
    "events need a table of their own; check region, endpoint, credentials and rights, or use sqlite:///events.db"
)


def _create(url: str, parts: EventStoreParts) -> CreatedEventStores:
    from aggregator.stores.events.dynamodb_table import (  # noqa: PLC0415  # it imports Amazon's libraries
        DynamoEvents,
        DynamoPositions,
        EventTable,
    )

    at = parse_dynamodb_url(url)
    table = EventTable(at.table, at.region, at.endpoint, parts.metrics)
    events = DynamoEvents(table, parts.retention, parts.now)
    return CreatedEventStores(events, DynamoPositions(table), [OpenStep(table.open, TABLE_REMEDY, "events_url")])


DYNAMODB = EventStoreKind(
    example=_EXAMPLE,
    form=f"{_EXAMPLE}[&endpoint=http://…]",
    check=parse_dynamodb_url,
    create=_create,
)
