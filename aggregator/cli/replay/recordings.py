"""Recordings of `aggregator record`. They hold tickers, and a ticker is no trade."""

import gzip
import zlib
from pathlib import Path

import msgspec

from aggregator.cli.replay.files import MOST_OF_LINE, Source
from aggregator.cli.replay.rows import Rows, Unusable
from aggregator.exchanges.recording import Header


def open_recording(path: Path, rows: Rows) -> Source:  # noqa: ARG001  # as for the other formats
    """Raise Unusable: recordings hold no trades. Raises OSError."""
    try:
        with gzip.open(path, "rb") as file:
            header = msgspec.json.decode(file.readline(MOST_OF_LINE), type=Header)
    except (EOFError, zlib.error, gzip.BadGzipFile, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} is no recording of `aggregator record`: {error}") from error
    raise Unusable(
        f"{path} holds the tickers of {header.name[:40]}, and no trades",
        f"to serve prices from it: aggregator serve --exchanges replay+file://{path}",
    )
