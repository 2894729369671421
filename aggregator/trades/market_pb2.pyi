from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MarketUpdate(_message.Message):
    __slots__ = ("ticker", "price", "volume", "timestamp_ns")
    TICKER_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    ticker: str
    price: float
    volume: int
    timestamp_ns: int
    def __init__(self, ticker: _Optional[str] = ..., price: _Optional[float] = ..., volume: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class MarketUpdates(_message.Message):
    __slots__ = ("updates",)
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    updates: _containers.RepeatedCompositeFieldContainer[MarketUpdate]
    def __init__(self, updates: _Optional[_Iterable[_Union[MarketUpdate, _Mapping]]] = ...) -> None: ...
