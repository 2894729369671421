"""Calls as values: a Request says what to send and how to read the answer; clients only transport it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from rt_price_aggregator_client.errors import NOT_DECODED, InvalidAnswer, refusal_of
from rt_price_aggregator_client.parameters import Parameters

T = TypeVar("T")
U = TypeVar("U")
_ERRORS = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A call: what to send, and how to read the answer.

    `repeatable` tells that sending it twice does no harm, so that a client may send it again after a lost connection.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    parameters: Parameters = ()
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A list that comes in pages: the call of a page by its cursor, None for the first one."""

    page: Callable[[str | None], Request[tuple[list[T], str | None]]]


def get(target: str, read: Callable[[Answer], T], query: Parameters = ()) -> Request[T]:
    """Return a GET."""
    return Request("GET", target, read, query)


def answer(kind: type[T]) -> Callable[[Answer], T]:
    """Return the reader of an answer of this type; it raises the error of an error status."""
    decode = decoder(kind)

    def read(found: Answer) -> T:
        if found.status >= _ERRORS:
            raise refusal_of(found.status, found.headers, found.body)
        return decode(found.body)

    return read


def then(read: Callable[[Answer], U], change: Callable[[U], T]) -> Callable[[Answer], T]:
    """Return a reader that takes a part of what another one reads."""
    return lambda found: change(read(found))


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Return a decoder of JSON. Unix seconds become datetimes, which msgspec does when not strict."""
    decode = msgspec.json.Decoder(kind, strict=False).decode

    def decoded(body: bytes) -> T:
        try:
            return decode(body)
        except NOT_DECODED as error:
            raise InvalidAnswer(f"no {kind.__name__}: {error}") from error

    return decoded
