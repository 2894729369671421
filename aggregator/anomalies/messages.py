"""Messages between the process of the trade stream and the worker process: MessagePack behind its length."""

import struct

import msgspec

LENGTH = struct.Struct("<I")
MOST_BYTES = 1 << 26


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """Samples of trades, after changes of the assets: first `forget`, then `load`.

    Assets are numbered; `names` has those of new numbers, in order. The bytes are arrays of the machine: `assets` of
    uint32, `times` of float64 (unix seconds), `live` of bool, `samples` of float32, SIZE for each trade.
    """

    names: list[str] = []
    forget: list[int] = []
    load: list[int] = []
    assets: bytes = b""
    times: bytes = b""
    live: bytes = b""
    samples: bytes = b""


class AssetState(msgspec.Struct, array_like=True, frozen=True):
    """The number of samples that are kept of an asset, and the version of its model; empty before the first."""

    samples: int
    version: str


class Finding(msgspec.Struct, array_like=True, frozen=True):
    """A trade below the threshold. `row` is its place in the batch."""

    row: int
    score: float
    threshold: float
    version: str


class Figures(msgspec.Struct, array_like=True):
    """Counts of the work since the last reply. Seconds are of CPU time."""

    scored: int = 0
    scoring_seconds: float = 0.0
    fits: int = 0
    fit_failures: int = 0
    fit_seconds: float = 0.0
    models: int = 0
    fits_waiting: int = 0


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """The answer to a batch. `states` has the assets whose state has changed since the last reply, by number."""

    findings: list[Finding]
    states: dict[int, AssetState]
    figures: Figures


def framed(message: Batch | Reply) -> bytes:
    """Return a message behind its length."""
    raw = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(raw)) + raw
