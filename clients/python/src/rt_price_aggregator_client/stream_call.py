"""The method `stream` of both clients."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, overload

from rt_price_aggregator_client.async_stream import AsyncStream
from rt_price_aggregator_client.stream import Stream
from rt_price_aggregator_client.stream_session import StreamOptions

P = ParamSpec("P")


class Streamer(ABC):
    """A client that opens streams."""

    @abstractmethod
    def open_stream(self, options: StreamOptions) -> Stream:
        """Return a stream, which connects when it is first asked for an event."""


class AsyncStreamer(ABC):
    """A client that opens streams in an event loop."""

    @abstractmethod
    def open_stream(self, options: StreamOptions) -> AsyncStream:
        """Return a stream, which connects when it is first asked for an event."""


class StreamCall(Generic[P]):
    """A method that returns a stream with these options."""

    def __init__(self, describe: Callable[P, StreamOptions]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, client: Streamer, owner: type[Any]) -> Callable[P, Stream]: ...
    @overload
    def __get__(self, client: AsyncStreamer, owner: type[Any]) -> Callable[P, AsyncStream]: ...
    def __get__(
        self, client: Streamer | AsyncStreamer | None, owner: type[Any]
    ) -> Self | Callable[P, Stream] | Callable[P, AsyncStream]:
        """Return the method of this client."""
        if client is None:
            return self
        describe, open_stream = self._describe, client.open_stream

        @wraps(describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return open_stream(describe(*args, **kwargs))

        return method
