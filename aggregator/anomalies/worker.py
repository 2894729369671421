"""The worker process: `python -m aggregator.anomalies.worker FOLDER BUDGET`, started by `child`.

It answers batches from stdin on stdout, fits between them, and ends with its stdin.
"""

import os
import select
import signal
import sys
from pathlib import Path

import msgspec

from aggregator.anomalies.detector import Detector
from aggregator.anomalies.messages import LENGTH, MOST_BYTES, Batch, framed
from aggregator.anomalies.model_files import ModelFiles

_NICE = 5  # behind the process of the trade stream


def work(detector: Detector, source: int, sink: int) -> None:
    """Answer batches until `source` ends. Both are file descriptors."""
    decoder = msgspec.msgpack.Decoder(Batch)
    while True:
        readable, _, _ = select.select([source], [], [], detector.pause())
        if readable:
            raw = _frame(source)
            if raw is None:
                detector.close()
                return
            _write(sink, framed(detector.handle(decoder.decode(raw))))
        failure = detector.fit_next()
        if failure:
            sys.stderr.write(f"anomalies: a model could not be fitted: {failure}\n")


def main() -> None:
    """Run the worker."""
    folder, budget = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the service stops first
    os.nice(_NICE)
    sink = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    work(Detector(ModelFiles(Path(folder)), float(budget)), 0, sink)


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
