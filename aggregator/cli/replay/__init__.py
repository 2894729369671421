"""`aggregator replay`: send the trades of a file to POST /ingest, in their order and at their own pace.

`files`, `parquet` and `recordings` read rows; `rows` makes lines of NDJSON from them; `batches` says which are sent
together and when; `sender` sends them through `client` until the service has taken them; `command` connects these.
"""

import argparse
from pathlib import Path

from aggregator.cli.command import Command, Flags, seconds_up_to
from aggregator.numerals import number_of

_DAY = 86_400  # seconds
_FASTEST = 1_000_000


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    speed = number_of(text)
    if not 0 < speed <= _FASTEST:
        raise argparse.ArgumentTypeError(f"is not a number up to {_FASTEST}, or max")
    return speed


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a CSV, NDJSON or Parquet file; .gz is unpacked")
    parser.add_argument(
        "--url", default="http://127.0.0.1:8080", help="address of the service; default http://127.0.0.1:8080"
    )
    parser.add_argument(
        "--speed", type=_speed, default=1.0, help="times as fast as it happened, such as 10; max: no waiting; default 1"
    )
    parser.add_argument(
        "--format", choices=["csv", "ndjson", "parquet", "rec"], help="default: by the name of the file"
    )
    parser.add_argument("--venue", metavar="NAME", help="venue of trades that have none")
    parser.add_argument("--asset", metavar="SYMBOL", help="asset of trades that have none")
    parser.add_argument("--shift", choices=["now"], help="now: move all times so that the first trade is of now")
    parser.add_argument(
        "--patience",
        type=seconds_up_to(_DAY),
        default=60.0,
        help="seconds for which a batch is sent again while the service does not take it; default 60",
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:  # noqa: ARG001  # it takes no settings
    from aggregator.cli.replay.command import Wanted, replay  # noqa: PLC0415  # other commands need none of it

    return replay(
        Wanted(
            options.file,
            options.url,
            options.speed,
            options.format,
            options.venue,
            options.asset,
            options.shift == "now",
            options.patience,
        )
    )


COMMAND = Command(
    "send the trades of a file to a running service; exit code 1 when one is rejected",
    _run,
    (),
    _add_options,
    description="Send the trades of a file to POST /ingest of a running service, in their order and at their own pace."
    " Environment: AGGREGATOR_API_KEY, if the service wants a key.",
)
