"""`postgresql://user@host:5432/database[?sslmode=…]`: history in a PostgreSQL database, behind an outbox on disk.

asyncpg is not imported until a history is created.
"""

from aggregator.observability.tracing import UNTRACED
from aggregator.stores.definition import FILE_REMEDY, CreatedHistory, HistoryParts, HistoryStore, OpenStep
from aggregator.stores.outbox import Outbox
from aggregator.stores.postgres.address import EXAMPLE, FORM, REMEDY, parse_postgres_url
from aggregator.stores.traced import TracedTable


def _create(url: str, parts: HistoryParts) -> CreatedHistory:
    from aggregator.stores.postgres.table import PostgresTable  # noqa: PLC0415  # it imports asyncpg

    table = PostgresTable(parse_postgres_url(url), parts.postgres_password, parts.retention, parts.now)
    target = table if parts.tracer is UNTRACED else TracedTable(table, parts.tracer)
    outbox = Outbox(parts.outbox_path, parts.outbox_max_bytes, target, parts.metrics, parts.now, table.run)
    steps = [OpenStep(table.open, REMEDY), OpenStep(outbox.open, FILE_REMEDY, "outbox_path")]
    return CreatedHistory(outbox, steps)


POSTGRES = HistoryStore(example=EXAMPLE, form=FORM, check=parse_postgres_url, create=_create)
