"""The client for programs without an event loop."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from rt_price_aggregator_client import transport
from rt_price_aggregator_client.api import Api
from rt_price_aggregator_client.call import Sender
from rt_price_aggregator_client.errors import AggregatorError
from rt_price_aggregator_client.ingest import NewTrade, Total, requests
from rt_price_aggregator_client.models import Ingested
from rt_price_aggregator_client.request import Answer, Request
from rt_price_aggregator_client.retries import Retries
from rt_price_aggregator_client.stream import Stream
from rt_price_aggregator_client.stream_call import Streamer
from rt_price_aggregator_client.stream_session import StreamOptions, StreamSession

T = TypeVar("T")


class Client(Sender, Streamer, Api):
    """A client of the service at `url`. Threads may share it, except for a stream.

    `timeout` is in seconds, for connecting and for each part of an answer. `retries` sets which failures are tried
    again. `http_transport` is one of httpx2, for a proxy or TLS of your own.
    """

    def __init__(
        self,
        url: str = "http://localhost:8080",
        *,
        api_key: str | None = None,
        timeout: float = 15.0,
        retries: Retries | None = None,
        http_transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._retries = retries or Retries()
        self._http = httpx2.Client(**transport.settings(url, api_key, timeout), transport=http_transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ingest(self, trades: NewTrade | Iterable[NewTrade]) -> Ingested:
        """Store a trade, or any number of them in batches; return the sum of the answers.

        The trades are durable when it returns. A batch is sent again after a lost connection, a 503 or a 429, which
        stores no trade twice. `rejected` has the trades that the service refuses, by their place, and the reasons.
        Raises NoValidTrade if it refuses all of them. After another error, all trades may be sent again.
        """
        total = Total()
        for request in requests(trades):
            try:
                total.add(self.send(request))
            except AggregatorError as error:
                total.note(error)
                raise
        return total.result()

    def send(self, request: Request[T]) -> T:
        """Send a request, again where that helps; return what it reads from the answer."""
        attempt = 1
        while True:
            try:
                return request.read(self._answer(request))
            except AggregatorError as failure:
                wait = self._retries.wait(failure, attempt, repeatable=request.repeatable)
                if wait is None:
                    raise
            time.sleep(wait)
            attempt += 1

    def open_stream(self, options: StreamOptions) -> Stream:
        """Return a stream with these options; `stream` does the same with words."""
        timeout = transport.stream_timeout(self._timeout, options.heartbeat_timeout)
        return Stream(self._http, StreamSession(options, self._retries.attempts), timeout)

    def _answer(self, request: Request[T]) -> Answer:
        try:
            response = self._http.request(**transport.arguments(request))
        except httpx2.RequestError as error:
            raise transport.failure_of(error) from error
        return Answer(response.status_code, response.headers, response.content)
