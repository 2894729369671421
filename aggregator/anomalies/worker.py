"""The worker process: `python -m aggregator.anomalies.worker FOLDER BUDGET`, started by `child`.

It answers batches from stdin on stdout, fits between them, and ends with its stdin or SIGTERM. SIGTERM interrupts the
wait for a batch and a fit, which may take seconds with the import of scikit-learn, and nothing else.
"""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from aggregator.anomalies.detector import Detector
from aggregator.anomalies.forest import Forest, fit
from aggregator.anomalies.messages import LENGTH, MOST_BYTES, Batch, framed
from aggregator.anomalies.model_files import ModelFiles
from aggregator.anomalies.samples import Rows

_NICE = 5  # behind the process of the trade stream


class Stopped(BaseException):
    """SIGTERM has come. No `Exception`, which a library may catch."""


def work(detector: Detector, source: int, sink: int) -> None:
    """Answer batches until `source` ends or SIGTERM comes, then save. Both are file descriptors."""
    with suppress(Stopped):
        _answer(detector, source, sink)
    detector.close()


def interruptible_fit(samples: Rows, number: int) -> Forest:
    """Return the result of `fit`. Raises Stopped when SIGTERM comes meanwhile."""
    with _interruptible():
        return fit(samples, number)


def _answer(detector: Detector, source: int, sink: int) -> None:
    """Answer batches until `source` ends. Raises Stopped."""
    decoder = msgspec.msgpack.Decoder(Batch)
    while True:
        with _interruptible():
            readable, _, _ = select.select([source], [], [], detector.pause())
        if readable:
            raw = _frame(source)
            if raw is None:
                return
            _write(sink, framed(detector.handle(decoder.decode(raw))))
        failure = detector.fit_next()
        if failure:
            sys.stderr.write(f"anomalies: a model could not be fitted: {failure}\n")


def main() -> None:
    """Run the worker."""
    folder, budget = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the service stops first
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, _stop)
    os.nice(_NICE)
    sink = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    work(Detector(ModelFiles(Path(folder)), float(budget), fit=interruptible_fit), 0, sink)
    os._exit(0)  # everything is saved; taking scikit-learn down would cost half a second on a busy machine


def _stop(*_: object) -> None:
    raise Stopped


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM interrupt what is inside, also one that came before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _frame(source: int) -> bytes | None:
    """Return the next message; None at the end."""
    head = _read(source, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return _read(source, length)


def _read(source: int, length: int) -> bytes | None:
    parts, left = [], length
    while left:
        part = os.read(source, left)
        if not part:
            return None
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _write(sink: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(sink, view) :]


if __name__ == "__main__":
    main()
