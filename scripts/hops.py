#!/usr/bin/env python3
"""Counts the modules and functions of ours that a price passes through; run it with .venv/bin/python.

It starts the whole service in this process, with a mock venue and moto's DynamoDB in threads, and looks at every call
of a function of ours with `sys.setprofile`. A function is on the way when an argument or the returned value contains
the price's digits. There are two ways:

- read: GET /prices/{asset} for a price that is in history only (with `--redis URL`: in Redis only).
- write: a ticker from the venue's answer to the request to DynamoDB.

Apart stand the middleware and the making of the HTTP response, the values themselves (models, errors, newest, clock),
what looks at a price and keeps a figure of it, and the other consumers of a new price (cache, live streams).
"""

import argparse
import asyncio
import logging
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import CodeType, FrameType

import structlog
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from aggregator.runtime.lifecycle import serve_in_process  # noqa: E402  # the path first
from aggregator.settings import Settings  # noqa: E402  # after the path that finds it

PRICE = "79850.12345"  # ten digits, as many as a price keeps
APART = {
    "values": ("models", "errors", "newest", "clock"),
    "figures": ("freshness", "rejections", "observability"),
    "consumers": ("memory", "topics", "price_topic", "fanout", "index", "replay", "subscriber"),
}
NOT_ON_THE_WRITE_WAY = {
    "before http": ("connection",),
    "outcome, back to the schedule": ("single_flight", "warmup"),
}
ROUTE = "api.prices.routes"
_PATIENCE = 30.0


class Venue(BaseHTTPRequestHandler):
    """The mock venue: one ticker while `answers` is set, else 503."""

    protocol_version = "HTTP/1.1"
    answers = threading.Event()

    def do_GET(self) -> None:
        """Answer /mock/ticker/btcusdt."""
        body = b'{"symbol":"btcusdt","price":%b,"volume":5,"timestamp":%.3f}' % (PRICE.encode(), time.time())
        status, body = (200, body) if self.answers.is_set() else (503, b"")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Trace:
    """The functions of ours that handle the price."""

    def __init__(self) -> None:
        self._called: dict[CodeType, int] = {}
        self._on_the_way: dict[CodeType, None] = {}  # in the order in which they had the price

    def __call__(self, frame: FrameType, event: str, value: object) -> None:
        """Look at one call or return, as `sys.setprofile` reports it."""
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(f"{ROOT}/aggregator/"):
            return
        self._called.setdefault(code, len(self._called))
        if code in self._on_the_way:
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        arguments = [frame.f_locals.get(name) for name in names if name != "self"]
        if PRICE in repr(value if event == "return" else arguments):
            self._on_the_way[code] = None

    def modules(self, *, by_call: bool) -> dict[str, list[str]]:
        """Return the functions on the way by module, in the order of their calls or in that of having the price."""
        codes = sorted(self._on_the_way, key=self._called.__getitem__) if by_call else list(self._on_the_way)
        found: dict[str, list[str]] = {}
        for code in codes:
            parts = Path(code.co_filename).relative_to(ROOT).with_suffix("").parts
            found.setdefault(".".join(parts[1:]), []).append(code.co_qualname)
        return found


@contextmanager
def tracing() -> Iterator[Trace]:
    """Trace this thread, and those that are started meanwhile."""
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@asynccontextmanager
async def service(folder: Path, venue: str, **settings: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Run the service; yield a function that GETs a path, and returns an empty text unless the status is 200."""
    symbols = folder / "symbols.csv"
    symbols.write_text("symbol,base,quote\nbtcusdt,btc,usdt\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = {"symbols_file": str(symbols), "exchanges": f"venue=mock+{venue}", "hot_size": "0", "medium_size": "0"}
    given = Settings(**both, **settings, port=port, log_level="error")  # type: ignore[arg-type]  # texts, which it converts

    def get(path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    stop = asyncio.Event()
    running = asyncio.create_task(serve_in_process(given, stop))
    try:
        yield lambda path: asyncio.to_thread(get, path)
    finally:
        stop.set()
        await running


async def until(get: Callable[[str], Awaitable[str]], path: str, wanted: str) -> None:
    """Wait until the answer contains a text."""
    async with asyncio.timeout(_PATIENCE):
        while wanted not in await get(path):  # noqa: ASYNC110  # another thread answers
            await asyncio.sleep(0.5)


async def read_way(folder: Path, venue: str, cache: str) -> Trace:
    """Trace a GET by a process that was started after the price was stored, while the venue gives no ticker."""
    stores = {"cache_url": cache, "history_url": f"sqlite:///{folder}/prices.db"}
    Venue.answers.set()
    async with service(folder, venue, **stores) as get:
        await until(get, "/prices/btcusdt", PRICE)
    Venue.answers.clear()
    async with service(folder, venue, **stores) as get:
        await until(get, "/health", "OK")
        await asyncio.sleep(1)  # for the warm-up, which finds nothing
        with tracing() as trace:
            assert PRICE in await get("/prices/btcusdt")  # noqa: S101  # else there is nothing to count
    return trace


async def write_way(folder: Path, venue: str, endpoint: str) -> Trace:
    """Trace the first refresh, until DynamoDB has the price."""
    history = f"dynamodb://prices?region=us-east-1&endpoint={endpoint}"
    Venue.answers.set()
    with tracing() as trace:
        async with service(folder, venue, history_url=history, outbox_path=str(folder / "outbox.db")) as get:
            await until(get, "/metrics", 'price_store_written_total{store="dynamodb"} 1.0')
    return trace


def report(title: str, modules: Mapping[str, Sequence[str]], apart: Mapping[str, Sequence[str]]) -> str:
    """Return as text the modules and functions on the way, and below them the modules that stand apart, by why."""
    kinds = {module: _kind(module, apart) for module in modules}
    counted = {module: functions for module, functions in modules.items() if not kinds[module]}
    lines = [f"{title}: {len(counted)} modules, {sum(map(len, counted.values()))} functions"]
    lines += [f"  {module}: {', '.join(functions)}" for module, functions in counted.items()]
    for kind in sorted({kind for kind in kinds.values() if kind}):
        lines.append(f"  apart, {kind}: {', '.join(module for module in modules if kinds[module] == kind)}")
    return "\n".join(lines) + "\n"


def _kind(module: str, apart: Mapping[str, Sequence[str]]) -> str:
    """Return why a module stands apart; empty for one that counts."""
    folder, _, name = module.rpartition(".")
    if folder.startswith("api") and module != ROUTE:
        return "middleware and response"
    return next((kind for kind, names in apart.items() if name in names or folder in names), "")


async def main(redis: str) -> None:
    """Trace both ways and print them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Venue)
    dynamodb = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    dynamodb.start()
    venue = "http://{}:{}".format(*server.server_address)
    with tempfile.TemporaryDirectory() as name:
        read = await read_way(Path(name), venue, redis or "memory://")
        sys.stdout.write(report("read", read.modules(by_call=True), APART))
        endpoint = "http://{}:{}".format(*dynamodb.get_host_and_port())
        write = await write_way(Path(name), venue, endpoint)
        sys.stdout.write(report("write", write.modules(by_call=False), APART | NOT_ON_THE_WRITE_WAY))
    server.shutdown()
    dynamodb.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--redis", default="", help="an empty Redis to be the shared cache, as redis://127.0.0.1:6379/0"
    )
    asyncio.run(main(parser.parse_args().redis))
