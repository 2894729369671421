"""Clients that send trades to a service that may die, and repeat each call until it is acknowledged."""

import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from http import HTTPStatus
from itertools import count
from typing import Self
from urllib.parse import urlsplit

from aggregator.models import Trade

ASSETS = ("btcusdt", "ethusdt", "solusdt")
CALL = 500  # trades of a call
_RETRY_SECONDS = 0.1
_CALL_SECONDS = 60.0
_MILLISECONDS = 1000


class Sent:
    """The trades of a run by their number, a millisecond apart; `start` is the time of the first in unix seconds."""

    def __init__(self, start: float) -> None:
        self._start = round(start, 3)

    def trade(self, number: int) -> Trade:
        """Return the trade with this number."""
        return Trade(
            ASSETS[number % len(ASSETS)],
            Decimal(10_000 + number % 97) / 8,
            Decimal(1 + number % 31) / 4,
            round(self._start + number / _MILLISECONDS, 6),
            "chaos",
            str(number),
        )

    def body(self, call: int) -> bytes:
        """Return a call as lines: its trades in random order, the last one twice."""
        numbers = list(range(call * CALL, (call + 1) * CALL))
        random.Random(call).shuffle(numbers)
        return b"".join(map(self._line, [*numbers, numbers[-1]]))

    def _line(self, number: int) -> bytes:
        one = self.trade(number)
        fields = {"asset": one.asset, "price": str(one.price), "volume": str(one.volume), "timestamp": one.timestamp}
        return json.dumps(fields | {"venue": one.venue, "id": one.id}).encode() + b"\n"


class Clients:
    """Threads that send calls one after the other, each until it is acknowledged or `leave` was called.

    `url` is where the service is now; a test changes it after a restart. To be used in a `with` statement.
    """

    def __init__(self, sent: Sent, url: str, threads: int = 3) -> None:
        self.url = url
        self.acknowledged: set[int] = set()  # calls
        self.begun: set[int] = set()  # calls
        self.accepted = 0  # trades, by the answers
        self.repeats = 0
        self._sent = sent
        self._calls = count()
        self._most = 0
        self._leaving = threading.Event()
        self._lock = threading.Lock()
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._running: list[Future[None]] = []

    def begin(self, calls: int) -> None:
        """Begin to send so many more calls."""
        self._most += calls
        self._calls = count(len(self.begun))
        self._running = [self._pool.submit(self._run) for _ in range(self._threads)]

    def finish(self, seconds: float) -> None:
        """Wait until all calls are acknowledged; raise what has failed in a thread."""
        for one in self._running:
            one.result(seconds)

    def leave(self, seconds: float) -> None:
        """Repeat nothing any more, and wait for the threads; what is not acknowledged now is in doubt."""
        self._leaving.set()
        self.finish(seconds)

    def __enter__(self) -> Self:
        """Return the clients."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, also those of a test that has failed."""
        self._leaving.set()
        self._pool.shutdown()

    @property
    def has_failed(self) -> bool:
        """Whether a thread has ended with an error."""
        return any(one.done() and one.exception() is not None for one in self._running)

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._leaving.is_set() and (call := next(self._calls)) < self._most:
            self.begun.add(call)
            body = self._sent.body(call)
            while call not in self.acknowledged:
                connection = connection or _connect(self.url)
                if not self._acknowledged(connection, call, body):
                    connection.close()
                    connection = None
                    if self._leaving.is_set():
                        return
                    with self._lock:
                        self.repeats += 1
                    time.sleep(_RETRY_SECONDS)
        if connection is not None:
            connection.close()

    def _acknowledged(self, connection: http.client.HTTPConnection, call: int, body: bytes) -> bool:
        """Send a call; return whether the service has acknowledged it."""
        try:
            connection.request("POST", "/ingest", body, {"Content-Type": "application/x-ndjson"})
            with closing(connection.getresponse()) as response:
                answer = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            return False
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return False
        assert response.status == HTTPStatus.OK, answer
        assert (answer["accepted"] + answer["duplicates"], answer["rejected_count"]) == (CALL + 1, 0), answer
        assert answer["duplicates"] >= 1, answer
        with self._lock:
            self.acknowledged.add(call)
            self.accepted += answer["accepted"]
        return True


def _connect(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(str(address.hostname), address.port, timeout=_CALL_SECONDS)


def trades_of(sent: Sent, calls: Sequence[int]) -> dict[str, Trade]:
    """Return the trades of these calls by their ids."""
    return {str(number): sent.trade(number) for call in calls for number in range(call * CALL, (call + 1) * CALL)}
