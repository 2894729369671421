"""A stream over many connections: its request, its events, and when to connect again. No I/O."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rt_price_aggregator_client.errors import AggregatorError, Refused
from rt_price_aggregator_client.events import End, StreamEvent, read
from rt_price_aggregator_client.parameters import Parameters, parameters
from rt_price_aggregator_client.retries import Retries, is_passing
from rt_price_aggregator_client.sse import Parser

_log = logging.getLogger("rt_price_aggregator_client")
_SERVER_ERRORS = 500
_HEARTBEAT_TIMEOUT = 45.0  # seconds: three heartbeats of the service


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """A stream of every new value of `topics`, prices without it, of all assets, of `assets`, or of `tiers`.

    It begins with a Snapshot of each topic and yields each new value as its model: Price, LiveTrade, Features,
    Anomaly, Signal, SentimentItem, Alert. After a lost connection it is resumed by the id of the last event, so nothing
    is missed; if the service no longer has the missed events, it yields a Gap, and then Snapshots.
    `last_event_id` resumes a stream of an earlier run in the same way.

    A connection without a byte for `heartbeat_timeout` seconds is taken for lost. `attempts` is how many connections
    in a row may fail until the error is raised; without it, a stream that had a connection never gives up. The first
    connection has the attempts of the client's `retries`. `reconnect` sets the waits between connections.
    """

    topics: Iterable[str] | None = None
    assets: Iterable[str] | None = None
    tiers: Iterable[str] | None = None
    last_event_id: str | None = None
    heartbeat_timeout: float = _HEARTBEAT_TIMEOUT
    attempts: int | None = None
    reconnect: Retries = field(default_factory=lambda: Retries(first_wait=1.0))

    def parameters(self) -> Parameters:
        """Return the parameters of the query string."""
        return parameters(topics=self.topics, assets=self.assets, tier=self.tiers)


class StreamSession:
    """The state of a stream. A transport connects, feeds it what comes, and tells it what was lost."""

    def __init__(self, options: StreamOptions, first_attempts: int) -> None:
        self.parameters = options.parameters()
        self._options = options
        self._first_attempts = first_attempts
        self._parser = Parser(options.last_event_id or "")
        self._last_id = self._parser.last_id
        self._had_connection = False
        self._failures = 0

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event that the caller has got, from which a stream can be resumed; None before it."""
        return self._last_id or None

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the next connection, which resumes the stream."""
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        return headers | ({"Last-Event-ID": self._last_id} if self._last_id else {})

    def feed(self, part: bytes) -> Iterator[StreamEvent]:
        """Yield the events that end in these bytes of the current connection."""
        self._had_connection = True
        self._failures = 0
        for event in self._parser.feed(part):
            value = read(event)
            self._last_id = event.last_id
            if isinstance(value, End):
                _log.info("the service ends the connection: %s", value.msg)
            else:
                yield value

    def lost(self, failure: AggregatorError) -> float:
        """Return the seconds to wait before the next connection. Raises the failure if there should be none.

        What came of an event that was cut is dropped: the service sends it again.
        """
        self._failures += 1
        most = self._options.attempts if self._had_connection else self._first_attempts
        if not self._may_pass(failure) or (most is not None and self._failures >= most):
            raise failure
        wait = self._wait(failure)
        self._parser = Parser(self._last_id)
        _log.warning("the stream was lost and is resumed in %.1f s: %s", wait, failure)
        return wait

    def _may_pass(self, failure: AggregatorError) -> bool:
        """Whether another connection may succeed. While a deployment is replaced, its proxy answers 502 or 504."""
        restarting = isinstance(failure, Refused) and failure.status >= _SERVER_ERRORS and self._had_connection
        return restarting or is_passing(failure)

    def _wait(self, failure: AggregatorError) -> float:
        policy = self._options.reconnect
        asked = failure.retry_after if isinstance(failure, Refused) else None
        if asked is not None:
            return asked + policy.jitter() * policy.first_wait
        return max(policy.backoff(self._failures), (self._parser.retry or 0) * (0.5 + policy.jitter() / 2))
