"""Clients of a soak: they send trades, read prices and receive events, and note what contradicts the promises."""

import http.client
import json
import math
import random
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.parts.service import call

VENUE = "soak"
SECONDS_APART = 300  # in which no key arrives twice
_LOST = (urllib.error.URLError, http.client.HTTPException, OSError)  # while the service is stopped, killed or busy


class Client(ABC):
    """A thread that repeats one action until it is stopped; `wrong` has the promises that were broken."""

    def __init__(self, every: float) -> None:
        self.url = ""  # of the service, which changes with each start; empty while it is down
        self.wrong: list[str] = []
        self.done = 0
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it, and wait until the current action has ended."""
        self._stop.set()
        self._thread.join()

    @property
    def is_stopping(self) -> bool:
        """Whether no further action begins."""
        return self._stop.is_set()

    @abstractmethod
    def act(self) -> None:
        """Do it once."""

    def judge(self, status: int, path: str, allowed: tuple[int, ...] = (200, 503)) -> None:
        """Note a status that the service must not answer."""
        if status not in allowed:
            self.wrong.append(f"{status} for {path}")

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            if not self.url:
                continue
            try:
                self.act()
            except _LOST:
                self._stop.wait(0.5)


class TradeSender(Client):
    """Sends batches of trades with ids in sequence, each until it is acknowledged: all must be stored."""

    def __init__(self, assets: list[str], rate: float) -> None:
        super().__init__(every=0.5)
        self.acknowledged = 0
        self._assets = assets
        self._batch = max(1, int(rate * 0.5))
        self._waiting: bytes = b""
        self._chance = random.Random(1)

    def act(self) -> None:
        """Send the batch that is not acknowledged yet, or a new one."""
        if not self._waiting:
            self._waiting = self._lines()
        answer = call("POST", f"{self.url}/ingest", {"Content-Type": "application/x-ndjson"}, self._waiting)
        self.judge(answer.status, "POST /ingest")
        if answer.status == 200:
            said = answer.json
            if said["rejected"] or said["accepted"] + said["duplicates"] != self._batch:
                self.wrong.append(f"POST /ingest: {answer.text[:300]}")
            self.acknowledged += self._batch
            self._waiting = b""
            self.done += 1

    def finish(self, seconds: float) -> None:
        """Send the last batch until it is acknowledged. Raises AssertionError at the deadline."""
        deadline = time.monotonic() + seconds
        while self._waiting:
            assert time.monotonic() < deadline, "the last trades are not acknowledged"
            try:
                self.act()
            except _LOST:
                time.sleep(0.2)

    def _lines(self) -> bytes:
        now = time.time()
        return b"".join(
            json.dumps(
                {
                    "asset": self._chance.choice(self._assets),
                    "price": f"{100 + self._chance.gauss(0, 0.1):.4f}",
                    "volume": f"{self._chance.lognormvariate(0, 1):.6f}",
                    "timestamp": round(now + nth * 1e-5, 6),
                    "venue": VENUE,
                    "id": str(self.acknowledged + nth),
                }
            ).encode()
            + b"\n"
            for nth in range(self._batch)
        )


class PriceReader(Client):
    """Reads prices, candles and aggregations; no price of an asset may be older than one read before."""

    def __init__(self, assets: list[str], every: float) -> None:
        super().__init__(every)
        self._assets = assets
        self._newest: dict[str, float] = {}
        self._chance = random.Random(2)

    def restarted(self) -> None:
        """Forget what was read: the promise is one of a process."""
        self._newest.clear()

    def act(self) -> None:
        """Read all hot prices, and one of the other routes of a random asset."""
        answer = call("GET", f"{self.url}/prices?tier=hot")
        self.judge(answer.status, "/prices")
        if answer.status == 200:
            for price in answer.json["prices"]:
                asset, at = price["asset"], float(price["timestamp"])
                if at < self._newest.get(asset, 0.0):
                    self.wrong.append(f"{asset} went back from {self._newest[asset]} to {at}")
                self._newest[asset] = at
        asset = self._chance.choice(self._assets)
        path = self._chance.choice(
            (
                f"/prices/{asset}/sources",
                f"/prices/{asset}/history?limit=50",
                f"/prices/{asset}/candles",
                f"/trades/{asset}?limit=100",
                f"/features/{asset}",
                f"/anomalies/{asset}",
                f"/sentiment/{asset}",
                f"/signals/{asset}",
                "/positions/closed",
                "/exchanges",
                "/ready",
                "/metrics",
            )
        )
        self.judge(call("GET", self.url + path).status, path, (200, 404, 503))
        self.done += 1


class StreamReader(Client):
    """Reads a stream of all topics; no price of an asset may be older than one before on the same connection."""

    def __init__(self) -> None:
        super().__init__(every=0.5)

    def act(self) -> None:
        """Read until the connection ends."""
        newest: dict[str, float] = {}
        path = f"{self.url}/stream?topics=prices,features,anomalies,signals,sentiment,alerts"
        with urllib.request.urlopen(path, timeout=10) as stream:
            event = ""
            while not self.is_stopping:
                line = stream.readline()
                if not line:
                    return
                if line.startswith(b"event:"):
                    event = line[6:].strip().decode()
                elif line.startswith(b"data:") and event == "price":
                    self._take(json.loads(line[5:]), newest)

    def _take(self, price: Any, newest: dict[str, float]) -> None:
        self.done += 1
        asset, at = price["asset"], price["timestamp"]
        if at < newest.get(asset, 0.0):
            self.wrong.append(f"stream: {asset} went back from {newest[asset]} to {at}")
        newest[asset] = at


class Receiver:
    """A webhook that counts keys; its fault is a status to answer with, or 0 for hanging.

    `again` counts events whose key arrived within 300 s before. `after_kill` counts those of them that first arrived
    within five seconds before the service was killed, so their answers may not have been noted.
    """

    def __init__(self) -> None:
        self.events = 0
        self.again = 0
        self.after_kill = 0
        self.killed_at = -math.inf
        self.fault: int | None = None
        self._keys: dict[str, float] = {}
        self._lock = threading.Lock()
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                fault = receiver.fault
                if fault == 0:
                    time.sleep(15)
                    fault = 503
                if fault is None:
                    receiver._take(json.loads(body))
                self.send_response(fault or 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Write nothing: a line for each delivery would hide the report."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def stop(self) -> None:
        """Take no more events."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, events: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        with self._lock:
            self.events += len(events)
            for event in events:
                before = self._keys.get(event["key"], -math.inf)
                if now - before < SECONDS_APART:
                    if 0 <= self.killed_at - before < 5:
                        self.after_kill += 1
                    else:
                        self.again += 1
                self._keys[event["key"]] = now
            if len(self._keys) > 500_000:  # so that the keys of hours are not kept
                self._keys = {key: at for key, at in self._keys.items() if now - at < SECONDS_APART}
