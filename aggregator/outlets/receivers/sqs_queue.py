"""A queue of SQS as an outlet, through aioboto3: SendMessageBatch, with an answer for each message.

The body of the call is encoded here in one step: botocore's own serializer takes some 15 % of the CPU time of a call.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import Any

import msgspec
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.parsers import ResponseParserError

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable, in_words, printable
from aggregator.libraries.aws import new_client
from aggregator.outlets.ports import DELIVERED, Answer, OutletAway, OutletEvent, Verdict

_LARGEST = 256 * 1024  # bytes of a batch, attributes included
_ATTRIBUTES = 400  # bytes of the attributes of a message, at most
_CONNECT_SECONDS, _READ_SECONDS = 3.0, 10.0
_LANES = 8
_ERROR_STATUS = 500
_OF_CONTENT = ("InvalidMessageContents", "InvalidParameterValue", "BatchRequestTooLong")
_NOT_SENT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError)


_BODY = "price_aggregator_body"


class _Attribute(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    string_value: str
    data_type: str = "String"


class _Entry(msgspec.Struct, frozen=True, gc=False, rename="pascal", omit_defaults=True):
    id: str
    message_body: str
    message_attributes: dict[str, _Attribute]
    message_group_id: str = ""
    message_deduplication_id: str = ""


class SqsQueue:
    """`aggregator.outlets.ports.Outlet` of the queue `name`.

    A message has the event's JSON as its body, and topic, key and asset as attributes. In a FIFO queue the asset is the
    message group, and a digest of the key the deduplication id.
    """

    most_events = 10
    most_bytes = _LARGEST - 10 * _ATTRIBUTES
    lanes = _LANES
    is_atomic = False

    def __init__(self, name: str, region: str | None, endpoint: str | None, account: str | None = None) -> None:
        self._name = name
        self._region = region
        self._endpoint = endpoint
        self._account = account
        self._is_fifo = name.endswith(".fifo")
        self._stack = AsyncExitStack()
        self._client: Any = None  # aioboto3 has no types
        self._url = ""
        self._looking = asyncio.Lock()

    async def open(self) -> None:
        """Create the client; sends nothing yet. Raises StoreRefused without a region.

        Where it fails, such as with the credentials of a container that cannot be fetched, each call tries again.
        """
        try:
            self._client = await self._stack.enter_async_context(
                await new_client(
                    "sqs",
                    self._region,
                    self._endpoint,
                    connect=_CONNECT_SECONDS,
                    read=_READ_SECONDS,
                    connections=2 * _LANES,
                )
            )
            events = self._client.meta.events
            events.register("provide-client-params.sqs.SendMessageBatch", _encode_parameters)
            events.register("before-call.sqs.SendMessageBatch", _set_body)
        except NoRegionError as error:
            raise StoreRefused("sqs:// needs a region: region=us-east-1, or AWS_REGION") from error
        except (BotoCoreError, OSError, ValueError) as error:
            raise StoreUnavailable(f"SQS: {in_words(error)}") from error

    async def send(self, events: Sequence[OutletEvent]) -> Sequence[Answer]:
        """As `Outlet.send`."""
        too_large = [len(event.body) > self.most_bytes for event in events]
        if any(too_large):
            answers = iter(await self.send([one for one, large in zip(events, too_large, strict=True) if not large]))
            refused = Answer(Verdict.REFUSED, "larger than a message of SQS may be, 256 KB")
            return [refused if large else next(answers) for large in too_large]
        return await self._send(events) if events else ()

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def attributes(self) -> Mapping[str, str]:
        """Return the attributes of the queue, which shows that it is there. Raises OutletAway."""
        answer = await self._mapped("get_queue_attributes", AttributeNames=["All"])
        return dict(answer.get("Attributes") or {})

    async def _send(self, events: Sequence[OutletEvent]) -> Sequence[Answer]:
        entries = [self._entry(number, event) for number, event in enumerate(events)]
        try:
            answer = await self._mapped("send_message_batch", Entries=entries)
        except _Content as error:
            if len(events) == 1:
                return [Answer(Verdict.REFUSED, str(error))]
            return [one for event in events for one in await self._send([event])]
        try:
            found = dict.fromkeys((str(one["Id"]) for one in answer.get("Successful") or ()), DELIVERED)
            found |= {str(one["Id"]): _failed(one) for one in answer.get("Failed") or ()}
        except (AttributeError, KeyError, TypeError) as error:  # a body that is not Amazon's, such as a proxy's
            raise OutletAway("SQS: the answer cannot be read", is_unsure=True) from error
        if not found:
            raise OutletAway("SQS: the answer names no message", is_unsure=True)
        missing = Answer(Verdict.RETRY, "SQS: the answer does not name the message")
        return [found.get(str(number), missing) for number in range(len(events))]

    def _entry(self, number: int, event: OutletEvent) -> _Entry:
        attributes = {
            "topic": _Attribute(event.topic),
            "key": _Attribute(event.key),
            "asset": _Attribute(event.asset),
        }
        body = event.body.decode()
        if not self._is_fifo:
            return _Entry(str(number), body, attributes)
        return _Entry(str(number), body, attributes, event.asset, sha256(event.key.encode()).hexdigest())

    async def _mapped(self, operation: str, **parameters: object) -> Any:
        """Make a call for the queue. Raises OutletAway, and _Content where SQS does not take what was sent."""
        try:
            await self._find()
            return await getattr(self._client, operation)(QueueUrl=self._url, **parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            text = f"SQS: {printable(str(error))}"
            if code.endswith(_OF_CONTENT):
                raise _Content(text) from error
            if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
                self._url = ""  # it may be made again, at another address
            raise OutletAway(text, is_unsure=status >= _ERROR_STATUS) from error
        except _NOT_SENT as error:
            raise OutletAway(f"SQS: {printable(str(error))}") from error
        except StoreError as error:  # of `open`
            raise OutletAway(str(error)) from error
        except (BotoCoreError, ResponseParserError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            # The last four come from reading a body that is not Amazon's.
            raise OutletAway(f"SQS: {in_words(error)}", is_unsure=True) from error

    async def _find(self) -> None:
        """Ask for the address of the queue, unless it is known; create the client, if `open` could not."""
        async with self._looking:
            if self._client is None:
                await self.open()
            if not self._url:
                owner = {} if self._account is None else {"QueueOwnerAWSAccountId": self._account}
                answer = await self._client.get_queue_url(QueueName=self._name, **owner)
                self._url = str(answer["QueueUrl"])


class _Content(Exception):
    """SQS does not take a message as it is."""


def _failed(entry: Mapping[str, Any]) -> Answer:
    """Return the answer of one message: its content is refused, or it may be sent again."""
    reason = printable(f"SQS: {entry.get('Code')}: {entry.get('Message')}")
    is_refused = bool(entry.get("SenderFault")) and "Throttl" not in str(entry.get("Code"))
    return Answer(Verdict.REFUSED if is_refused else Verdict.RETRY, reason)


def _encode_parameters(params: dict[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    """Encode the body, and return parameters without messages. A handler of botocore's `provide-client-params`."""
    context[_BODY] = msgspec.json.encode(params)
    return {"QueueUrl": params["QueueUrl"], "Entries": []}


def _set_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Set the body that `_encode_parameters` has kept. A handler of botocore's `before-call`."""
    params["body"] = context.pop(_BODY)
