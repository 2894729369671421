"""`aggregator produce`: write invented trades to a Kafka topic at a rate, and count what the brokers confirm.

`market` invents the trades, `records` encodes them, `pace` says how many are due, and `deliveries` counts the reports
of the brokers. `load` connects these; `command` reads the options and prints the summary.
"""

import argparse

from aggregator.cli.command import Command, Flags, seconds_up_to, whole_number_up_to
from aggregator.numerals import number_of

_FASTEST = 1_000_000  # trades a second: each has a microsecond of its own
_MOST_TRADES = 1_000_000_000
_MOST_ASSETS = 100_000
_MOST_SEED = 2**32
_MOST_PARTITIONS = 1_000
_DAY = 86_400  # seconds


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    rate = number_of(text)
    if not 0 < rate <= _FASTEST:
        raise argparse.ArgumentTypeError(f"is not a number of trades a second up to {_FASTEST}, or max")
    return rate


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log", metavar="URL", help="the topic, as kafka://broker:9092/topic; default: AGGREGATOR_TRADES_LOG"
    )
    parser.add_argument(
        "--rate", type=_rate, default=1000.0, help="trades a second, or max: as many as the brokers take; default 1000"
    )
    parser.add_argument(
        "--assets", type=whole_number_up_to(_MOST_ASSETS), help="the first assets of the symbols file; default all"
    )
    parser.add_argument("--format", choices=["json", "protobuf"], help="default: that of the URL, which is json")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=seconds_up_to(_DAY), help="how long; default: until Ctrl-C")
    length.add_argument("--count", type=whole_number_up_to(_MOST_TRADES), help="how many trades; default: until Ctrl-C")
    parser.add_argument(
        "--seed",
        type=whole_number_up_to(_MOST_SEED),
        help="makes the same assets, prices and volumes again; default: another one each time",
    )
    parser.add_argument(
        "--partitions",
        type=whole_number_up_to(_MOST_PARTITIONS),
        help="creates the topic with so many partitions where it is missing; default: it must exist",
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    from aggregator.cli.produce.command import Wanted, produce  # noqa: PLC0415  # other commands need none of it

    return produce(
        flags,
        Wanted(
            options.log,
            options.rate,
            options.assets,
            options.format,
            options.seconds,
            options.count,
            options.seed,
            options.partitions,
        ),
    )


COMMAND = Command(
    "write invented trades to a Kafka topic; exit code 1 when one is not delivered",
    _run,
    ("symbols_file", "kafka_username", "kafka_sasl", "kafka_ca"),
    _add_options,
    description="Write invented trades to a Kafka topic at a rate, and count what the brokers confirm."
    " Environment: AGGREGATOR_KAFKA_PASSWORD, if the brokers want one.",
)
