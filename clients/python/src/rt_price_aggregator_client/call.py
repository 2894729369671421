"""Methods of both clients from one description of a call.

`price = Call(prices.price)` in a class that both clients have is `client.price("btcusdt") -> Price` in Client and
`await client.price("btcusdt")` in AsyncClient. Type checkers see the parameters of the description.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from rt_price_aggregator_client.request import Pages, Request

P = ParamSpec("P")
T = TypeVar("T")


class Sender(ABC):
    """A client that sends a request and returns its answer."""

    @abstractmethod
    def send(self, request: Request[T]) -> T:
        """Send a request, again where that helps; return what it reads from the answer."""


class AsyncSender(ABC):
    """A client that sends a request in an event loop."""

    @abstractmethod
    async def send(self, request: Request[T]) -> T:
        """Send a request, again where that helps; return what it reads from the answer."""


class Call(Generic[P, T]):
    """A method that sends one request."""

    def __init__(self, describe: Callable[P, Request[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, client: Sender, owner: type[Any]) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncSender, owner: type[Any]) -> Callable[P, Awaitable[T]]: ...
    def __get__(
        self, client: Sender | AsyncSender | None, owner: type[Any]
    ) -> Self | Callable[P, T] | Callable[P, Awaitable[T]]:
        """Return the method of this client."""
        if client is None:
            return self
        describe, send = self._describe, client.send

        @wraps(describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return send(describe(*args, **kwargs))

        return method


class PagedCall(Generic[P, T]):
    """A method that iterates over a list in pages, with one request for each page when the iteration comes there."""

    def __init__(self, describe: Callable[P, Pages[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, client: Sender, owner: type[Any]) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncSender, owner: type[Any]) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(
        self, client: Sender | AsyncSender | None, owner: type[Any]
    ) -> Self | Callable[P, Iterator[T]] | Callable[P, AsyncIterator[T]]:
        """Return the method of this client."""
        if client is None:
            return self
        describe = self._describe
        iterate: Callable[[Any, Pages[T]], Any] = _iterate if isinstance(client, Sender) else _iterate_async

        @wraps(describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return iterate(client, describe(*args, **kwargs))

        return method


def _iterate(client: Sender, pages: Pages[T]) -> Iterator[T]:
    cursor: str | None = None
    while True:
        items, cursor = client.send(pages.page(cursor))
        yield from items
        if cursor is None:
            return


async def _iterate_async(client: AsyncSender, pages: Pages[T]) -> AsyncIterator[T]:
    cursor: str | None = None
    while True:
        items, cursor = await client.send(pages.page(cursor))
        for item in items:
            yield item
        if cursor is None:
            return
