"""A proxy in front of an S3 server that can be away, refuse, be full, be slow, or lose answers."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["", "away", "refuse", "full", "slow", "lost answer"]

_SLOW_SECONDS = 0.2
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive"})
_ERRORS = {"refuse": (403, "AccessDenied"), "full": (507, "InsufficientStorage")}


class S3Proxy:
    """Passes calls on to the server at `target`, but for `fault`. Faults of writes leave reads alone."""

    def __init__(self, target: str) -> None:
        self.fault: Fault = ""
        self.calls = 0
        """Calls that met a fault."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, target))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the proxy."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, proxy: S3Proxy, target: str, *arguments: Any) -> None:
        split = urlsplit(target)
        self._proxy, self._host, self._port = proxy, split.hostname or "", split.port
        super().__init__(*arguments)

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault, is_write = self._proxy.fault, self.command in ("PUT", "DELETE")
        self._proxy.calls += bool(fault)
        if fault == "away":
            self.close_connection = True
            return
        if fault == "refuse" or (fault == "full" and is_write):
            self._answer(*_error(*_ERRORS[fault]))
            return
        if fault == "slow":
            time.sleep(_SLOW_SECONDS)
        connection = HTTPConnection(self._host, self._port, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
        connection.close()
        if fault == "lost answer" and is_write:
            self.close_connection = True
            return
        self._answer(answer.status, headers, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815  # http.server's names

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.command != "HEAD" else b"")

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def _error(status: int, code: str) -> tuple[int, list[tuple[str, str]], bytes]:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code} by a test</Message></Error>'
    return status, [("Content-Type", "application/xml")], body.encode()


@contextmanager
def s3_proxy(target: str) -> Iterator[S3Proxy]:
    """Run a proxy for the block."""
    proxy = S3Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
