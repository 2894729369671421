"""`python -m mock_exchange --name exchange1 --port 8081`: serve one venue of the market until SIGTERM or SIGINT."""

import argparse
import asyncio
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from .feed import LONGEST_PUSH_MS, PUSH_MS, SHORTEST_PUSH_MS
from .plants import MOST_RATE
from .server import Exchange, listening
from .symbols import SymbolsError, open_planted
from .trades import MOST_PER_SECOND, TRADES_PER_SECOND

STDIN = 0
HIGHEST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one exchange; return 0 after a stop, 1 when it could not start.

    In the second case one line on stderr gives the reason and what to do.
    """
    options = _options(arguments)
    try:
        uvloop.run(_run(options))
    except SymbolsError as error:
        return _complain(str(error))
    except OSError as error:
        why = error.strerror or str(error)
        return _complain(
            f"cannot listen on {options.host}:{options.port}: {why}; choose another --port (0 for a free one) or --host"
        )
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mock_exchange", description="A mock exchange to test against.")
    parser.add_argument("--name", type=_name, required=True, help="name of the venue: exchange1, exchange2, ...")
    parser.add_argument("--port", type=_port, required=True, help="port to listen on; 0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1")
    parser.add_argument("--seed", type=int, default=0, help="number that determines every price and volume; default 0")
    parser.add_argument(
        "--symbols",
        type=Path,
        default=Path("symbols.csv"),
        help="CSV file of pairs, most traded first; default symbols.csv",
    )
    parser.add_argument(
        "--push-ms",
        type=_period,
        default=PUSH_MS,
        help=f"milliseconds between two tickers of a symbol on the WebSocket feed; default {PUSH_MS}",
    )
    parser.add_argument(
        "--trades-per-second",
        type=_rate,
        default=TRADES_PER_SECOND,
        help="trades of all pairs together, three times as many in the first two minutes of each hour;"
        f" default {TRADES_PER_SECOND:g}",
    )
    parser.add_argument(
        "--plants",
        type=_plants,
        default=0.0,
        help="how often unusual events are planted: 1 is a spike each 40 s, a drop each 100 s and others, 2 is twice as"
        " often; equal for all venues of a market; default 0, none",
    )
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="stop at the end of stdin, so as not to outlive the parent"
    )
    return parser.parse_args(arguments)


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise argparse.ArgumentTypeError("use letters, digits, _ . -")
    return text


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_PORT:
        raise argparse.ArgumentTypeError("a port is a whole number from 0 to 65535")
    return int(text)


def _period(text: str) -> int:
    if not (text.isascii() and text.isdigit() and SHORTEST_PUSH_MS <= int(text) <= LONGEST_PUSH_MS):
        raise argparse.ArgumentTypeError(f"use a whole number from {SHORTEST_PUSH_MS} to {LONGEST_PUSH_MS}")
    return int(text)


def _rate(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}(\.\d{1,6})?", text, re.ASCII) or float(text) > MOST_PER_SECOND:
        raise argparse.ArgumentTypeError(f"use a number from 0 to {MOST_PER_SECOND:g}")
    return float(text)


def _plants(text: str) -> float:
    if not re.fullmatch(r"\d{1,2}(\.\d{1,6})?", text, re.ASCII) or float(text) > MOST_RATE:
        raise argparse.ArgumentTypeError(f"use a number from 0 to {MOST_RATE:g}")
    return float(text)


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    market, plants = open_planted(options.seed, options.symbols, options.plants)
    exchange = Exchange(
        options.name, options.seed, market, time.time, options.push_ms, options.trades_per_second, plants
    )
    async with listening(exchange, options.host, options.port) as port:
        print(f"{options.name} listening on http://{options.host}:{port}", flush=True)  # noqa: T201 - the parent reads it
        if options.exit_with_stdin:
            _call_at_end_of_stdin(lambda: loop.call_soon_threadsafe(stop.set))
        await stop.wait()


def _call_at_end_of_stdin(callback: Callable[[], object]) -> None:
    """Call `callback` from a thread: a thread can wait for any kind of stdin, an event loop only for some kinds."""

    def drain() -> None:
        try:
            while os.read(STDIN, 4096):
                pass
        except OSError:
            pass  # stdin is closed, which is an end too
        callback()

    threading.Thread(target=drain, name="stdin", daemon=True).start()


def _complain(line: str) -> int:
    sys.stderr.write(f"mock_exchange: {line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
