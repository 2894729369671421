"""A server with POST /ingest that keeps what it gets, and fails as a test says."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

Answer = tuple[int, Mapping[str, str], object]
"""A status, headers, and a body that becomes JSON."""

Failure = Answer | str
"""An answer, or when to cut the connection: `before` or `after` the body is kept."""

BUSY: Answer = (503, {"Retry-After": "0"}, {"msg": "The backlog is full", "code": "overloaded"})


class IngestServer:
    """Keeps every trade by its line. `failures` are the answers to the next calls; then it takes every trade.

    A trade whose price is no number is rejected.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.calls: list[Sequence[bytes]] = []
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.failures: list[Failure] = []
        self.on_call: Callable[[], object] = lambda: None
        self.url = ""

    def answer(self, body: bytes) -> Failure:
        """Return the answer to a call with this body."""
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None and failure != "after":
            return failure
        lines = body.splitlines()
        self.calls.append(lines)
        good = [line for line in lines if isinstance(price_of(line), int | float)]
        known = set(self.lines)
        new = [line for line in good if line not in known]
        self.lines += new
        bad = [index for index, line in enumerate(lines) if not isinstance(price_of(line), int | float)]
        found = {"message": "Stored: Success", "accepted": len(new), "duplicates": len(good) - len(new)}
        found |= {"rejected": [{"index": index, "code": "price", "reason": "the price is no number"} for index in bad]}
        return failure or (200 if good else 400, {}, found if good else found | {"msg": "None is good", "code": "x"})


def price_of(line: bytes) -> object:
    """Return the price in a line; None for a line that is no trade."""
    try:
        return json.loads(line)["price"]
    except (ValueError, KeyError):
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: ClassVar[IngestServer]

    def do_POST(self) -> None:
        """Answer as the server says."""
        mine = self.server_of
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mine.paths.append(self.path)
        mine.headers.append(dict(self.headers))
        answer = mine.answer(body)
        mine.on_call()
        if isinstance(answer, str):
            self.close_connection = True
            return
        status, headers, found = answer
        self._send(status, headers, found if isinstance(found, bytes) else json.dumps(found).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (usual | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def ingest_server() -> Iterator[IngestServer]:
    """Run a server on a free port of 127.0.0.1."""
    mine = IngestServer()
    handler = type("Handler", (_Handler,), {"server_of": mine})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        mine.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield mine
        finally:
            server.shutdown()
            thread.join()
