"""The calls of Kinesis and DynamoDB that a stream of shards needs, through aioboto3. Loaded only where one is read."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, ClassVar, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable, in_words, printable
from aggregator.libraries.aws import new_client
from aggregator.trades.event_log.kinesis.shard_plan import Shard

MOST_RECORDS = 2000  # of one GetRecords
MOST_DIGITS = 129  # of a sequence number
_CONNECTIONS = 64
_CONNECT_SECONDS, _READ_SECONDS = 3.0, 5.0
THROTTLED = {
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "KMSThrottlingException",
    "ThrottlingException",
    "RequestLimitExceeded",
}
_KEPT = b'{"Records":[],"NextShardIterator":null}'  # what botocore parses in place of the records


class Throttled(StoreUnavailable):
    """The stream or the table takes no more calls or bytes at present."""


class ExpiredIterator(StoreUnavailable):
    """A shard iterator is older than five minutes."""


class NoSuchPosition(StoreRefused):
    """The shard has no such sequence number; it may be older than the retention."""


class Conflict(StoreRefused):
    """The condition of a write does not hold: another process was faster."""


class NotThere(StoreUnavailable):
    """There is no such stream or table."""


class Record(msgspec.Struct, rename="pascal", gc=False):
    """One record of GetRecords. The data come in base64, the time in unix seconds."""

    sequence_number: str
    data: bytes = b""
    approximate_arrival_timestamp: float = 0.0


class RecordsPage(msgspec.Struct, rename="pascal"):
    """The answer of GetRecords. Without an iterator the shard has ended."""

    records: list[Record]
    millis_behind_latest: int
    next_shard_iterator: str | None = None


_page = msgspec.json.Decoder(RecordsPage)


class StreamAddress(Protocol):
    """The address of a stream of shards and of the table with their leases; see KinesisAddress."""

    @property
    def stream(self) -> str:
        """The name of the stream."""

    @property
    def region(self) -> str:
        """The region."""

    @property
    def endpoint(self) -> str | None:
        """The URL of the stream's service; None for Amazon's."""

    @property
    def table(self) -> str:
        """The table of leases."""

    @property
    def table_endpoint(self) -> str | None:
        """The URL of that table's service; None for Amazon's."""

    @property
    def start(self) -> str | float:
        """The place at which reading begins in shards without a checkpoint."""

    @property
    def lease(self) -> int:
        """Seconds after which a lease that is not renewed may be taken."""


class ShardClients(ABC):
    """The connections to one stream of shards and its table of leases. Every call raises StoreError.

    Credentials come from the chain of AWS; for an endpoint of our own without any, from placeholders.
    """

    service: ClassVar[str]
    """The name of the stream's service in botocore."""

    log_events: ClassVar[tuple[str, str]]
    """The log events of a stream or table that begins to fail, and of one that is back."""

    def __init__(self, address: StreamAddress) -> None:
        self.address = address
        self._stack = AsyncExitStack()
        self._streams: Any = None  # aioboto3 has no types
        self._dynamodb: Any = None

    @abstractmethod
    async def records(self, iterator: str) -> tuple[RecordsPage, int]:
        """Return the page at an iterator, and its bytes."""

    @abstractmethod
    async def iterator(self, shard: str, kind: str, **position: object) -> str:
        """Return an iterator of a shard."""

    @abstractmethod
    async def shards(self) -> list[Shard]:
        """Return all shards of the stream that still have records, the closed ones too."""

    async def open(self) -> None:
        """Create the clients, unless that is done. Sends nothing yet."""
        if self._dynamodb is not None:
            return
        address = self.address
        with mapped_errors():
            services = (
                (self.service, address.endpoint, _READ_SECONDS),
                ("dynamodb", address.table_endpoint, min(_READ_SECONDS, address.lease / 3)),  # a renewal may be retried
            )
            self._streams, self._dynamodb = [
                await self._stack.enter_async_context(
                    await new_client(
                        name,
                        address.region,
                        endpoint,
                        connect=_CONNECT_SECONDS,
                        read=read_seconds,
                        connections=_CONNECTIONS,
                    )
                )
                for name, endpoint, read_seconds in services
            ]
        events = self._streams.meta.events
        events.register(
            f"before-parse.{self._streams.meta.service_model.service_id.hyphenize()}.GetRecords", _take_records
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def table(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Make a call of DynamoDB for the table of leases. Raises Conflict where a condition does not hold."""
        with mapped_errors():
            answer: Mapping[str, Any] = await getattr(self._dynamodb, operation)(
                TableName=self.address.table, **parameters
            )
            return answer


class KinesisClients(ShardClients):
    """The connections to a Kinesis stream."""

    service = "kinesis"
    log_events = "kinesis_failing", "kinesis_recovered"

    async def records(self, iterator: str) -> tuple[RecordsPage, int]:
        """Return the page at an iterator, and its bytes."""
        with mapped_errors():
            answer = await self._streams.get_records(ShardIterator=iterator, Limit=MOST_RECORDS)
            body: bytes = answer["page"]
            page = _page.decode(body)
            if not all(is_sequence_number(record.sequence_number) for record in page.records):
                raise ValueError("a sequence number is no number")
            return page, len(body)

    async def iterator(self, shard: str, kind: str, **position: object) -> str:
        """Return an iterator of a shard."""
        with mapped_errors():
            answer = await self._streams.get_shard_iterator(
                StreamName=self.address.stream, ShardId=shard, ShardIteratorType=kind, **position
            )
            return str(answer["ShardIterator"])

    async def put(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Put records; return for each why it was not accepted, or nothing."""
        with mapped_errors():
            answer = await self._streams.put_records(StreamName=self.address.stream, Records=records)
            codes = [str(one.get("ErrorCode") or "") for one in answer["Records"]]
            if len(codes) != len(records):
                raise ValueError("the answer has another number of records")
            return codes

    async def shards(self) -> list[Shard]:
        """Return all shards of the stream that still have records, the closed ones too."""
        found: list[Shard] = []
        parameters: Mapping[str, Any] = {"StreamName": self.address.stream}
        with mapped_errors():
            while True:
                answer = await self._streams.list_shards(**parameters)
                found += map(shard_of, answer["Shards"])
                if not (token := answer.get("NextToken")):
                    return found
                parameters = {"NextToken": token}


def is_sequence_number(text: str) -> bool:
    """Whether a text is a sequence number of Kinesis."""
    return len(text) <= MOST_DIGITS and text.isascii() and text.isdecimal()


def shard_of(found: Mapping[str, Any]) -> Shard:
    """Return the shard of an entry in the list of shards."""
    parents = (found.get("ParentShardId"), found.get("AdjacentParentShardId"))
    return Shard(str(found["ShardId"]), tuple(str(parent) for parent in parents if parent))


def _take_records(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Keep the body for msgspec, which reads records in a fraction of botocore's time."""
    if response_dict["status_code"] == 200:  # noqa: PLR2004  # of HTTP
        customized_response_dict["page"] = response_dict["body"]
        response_dict["body"] = _KEPT


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Map the errors of botocore, and those of reading an answer, to StoreError."""
    try:
        yield
    except ClientError as error:
        raise _error_of(error) from error
    except (
        BotoCoreError,
        ResponseParserError,
        msgspec.MsgspecError,
        OSError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        # The last four come from reading a body that is not Amazon's, such as a proxy's error page.
        raise StoreUnavailable(f"AWS: {in_words(error)}") from error


def _error_of(error: ClientError) -> StoreError:
    code, text = error.response.get("Error", {}).get("Code", ""), f"AWS: {printable(str(error))}"
    if code in THROTTLED:
        return Throttled(text)
    if code == "ConditionalCheckFailedException":
        return Conflict(text)
    if code == "ResourceNotFoundException":
        return NotThere(text)
    if code == "ExpiredIteratorException":
        return ExpiredIterator(text)
    if code in ("InvalidArgumentException", "TrimmedDataAccessException"):
        return NoSuchPosition(text)
    return StoreUnavailable(text)
