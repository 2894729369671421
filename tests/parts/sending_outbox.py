"""History as `dynamodb://` has it: an outbox that sends prices to a new table, however slow DynamoDB Local is."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.outbox import Outbox
from tests.parts.dynamodb import PATIENT_SECONDS, DynamoServer


@asynccontextmanager
async def sending_outbox(server: DynamoServer, file: Path) -> AsyncIterator[Outbox]:
    """Open the outbox and run it during the block."""
    metrics = Metrics(CollectorRegistry())
    name = f"prices-{uuid.uuid4()}"
    table = DynamoTable(name, "us-east-1", server.endpoint, metrics, query_seconds=PATIENT_SECONDS)
    await table.open()
    history = Outbox(file, 1 << 30, table, metrics)
    await history.open()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(history.run())
        yield history
        running.cancel()
    await history.close()
