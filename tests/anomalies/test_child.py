"""The end of a worker process."""

import asyncio
from asyncio.subprocess import Process
from typing import cast

from aggregator.anomalies.child import Child


class _Reaped:
    """A process that has ended when the time to wait for it is over, as a busy event loop sees it.

    Like asyncio's, it raises ProcessLookupError for a signal.
    """

    stdin = None
    waits = 0

    def terminate(self) -> None:
        """Raise, as there is no process."""
        raise ProcessLookupError

    kill = terminate

    async def wait(self) -> int:
        """Outlast the deadline of the first caller."""
        self.waits += 1
        if self.waits == 1:
            await asyncio.sleep(0)
            raise TimeoutError
        return 0


async def test_a_worker_that_ends_at_its_deadline() -> None:
    """The kill finds no process, which is no error: it would end the service."""
    process = _Reaped()
    await Child(cast("Process", process)).end()
    assert process.waits == 2
