"""The worker process, as the process of the trade stream sees it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
import structlog

import aggregator
from aggregator.anomalies.messages import LENGTH, MOST_BYTES, Batch, Reply, framed

_REPLY_SECONDS = 60.0  # with the import of scikit-learn and a fit on a busy machine
_END_SECONDS = 2.0  # to save what is not saved
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerLost(Exception):
    """The worker has ended, or does not answer."""


class Child:
    """A running worker process. It ends when its stdin is closed, so it cannot outlive this process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._decoder = msgspec.msgpack.Decoder(Reply)

    @classmethod
    async def start(cls, folder: Path, budget: float) -> Self:
        """Start a worker. Raises WorkerLost."""
        root = str(Path(aggregator.__file__).parents[1])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "aggregator.anomalies.worker", str(folder), str(budget)),
                stdin=PIPE,
                stdout=PIPE,
                env=os.environ | _ONE_THREAD | {"PYTHONPATH": paths},
                start_new_session=True,  # Ctrl-C must not reach it: the trade stream stops first
            )
        except OSError as error:
            raise WorkerLost(f"it cannot be started: {error}") from error
        return cls(process)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    async def ask(self, batch: Batch) -> Reply:
        """Return the reply to a batch. Raises WorkerLost; then end the worker."""
        sink, source = self._process.stdin, self._process.stdout
        assert sink is not None  # noqa: S101  # `start` has asked for this pipe
        assert source is not None  # noqa: S101  # `start` has asked for this pipe
        try:
            async with asyncio.timeout(_REPLY_SECONDS):
                sink.write(framed(batch))
                await sink.drain()
                (length,) = LENGTH.unpack(await source.readexactly(LENGTH.size))
                if length > MOST_BYTES:
                    raise WorkerLost("it sends what is no reply")
                return self._decoder.decode(await source.readexactly(length))
        except TimeoutError as error:
            raise WorkerLost(f"no answer in {_REPLY_SECONDS:g} s") from error
        except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError) as error:
            raise WorkerLost("it has ended") from error

    async def end(self) -> None:
        """Let the worker answer what it handles, save its state and end; after two seconds, kill it.

        A worker that still starts ends at once: it has nothing to save. One that fits gives the fit up.
        """
        with suppress(ProcessLookupError):
            self._process.terminate()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            structlog.get_logger().warning("anomaly_worker_killed", seconds=_END_SECONDS)
            with suppress(ProcessLookupError):  # it may have ended in the moment in which its time was over
                self._process.kill()
            await self._process.wait()
