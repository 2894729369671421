"""Checks of the outlets: address, connection, certificate and rights, and the file of events. No event is sent."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from aggregator.cli.doctor.checks import Check, Finding, failure, passed
from aggregator.cli.doctor.files import CheckedFile, try_outbox
from aggregator.cli.doctor.trades import CheckedTopic, kafka_check
from aggregator.errors import StoreError
from aggregator.observability.metrics import Metrics
from aggregator.outlets.address import OutletAddress
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.outbox.queue_file import QueueFile
from aggregator.outlets.ports import OutletAway
from aggregator.outlets.receivers.kafka import kafka_address
from aggregator.outlets.receivers.webhook.webhook import client_of
from aggregator.outlets.registry import make_outlet
from aggregator.settings import Settings

_OUTLETS = "AGGREGATOR_OUTLETS"
_SQS_RIGHTS = "allow sqs:GetQueueUrl, GetQueueAttributes and SendMessage on the queue"

_Look = Callable[[Settings, OutletAddress, str, float], Awaitable[Sequence[Finding]]]


def outlet_checks(settings: Settings, seconds: float) -> dict[str, Check]:
    """Return a check of each outlet; none for a role that sends no events. `seconds` limit each."""
    if settings.role == "api":
        return {}
    checks: dict[str, Check] = {}
    for address in settings.outlet_addresses:
        name = f"outlet {address.name}"
        checks[name] = partial(_LOOKS.get(address.scheme, nothing_to_check), settings, address, name, seconds)
    return checks


def outlet_file_checks(settings: Settings) -> dict[str, Check]:
    """Return the check of the file in which events wait; none where nothing is sent."""
    if settings.role == "api" or not settings.outlet_addresses:
        return {}
    return {"outlets": partial(file_check, settings)}


async def file_check(settings: Settings) -> Sequence[Finding]:
    """Check the outbox of the outlets: it must be writable, on a persistent disk with room for its largest size."""
    path, most = settings.outlets_path, settings.outlets_max_bytes
    checked = CheckedFile("outlets", path, "AGGREGATOR_OUTLETS_PATH", "AGGREGATOR_OUTLETS_MAX_BYTES")
    return await try_outbox(checked, lambda file: QueueFile(file, most), most, "events", writing=True)


async def nothing_to_check(_: Settings, address: OutletAddress, name: str, __: float) -> Sequence[Finding]:
    """Say that this kind of outlet needs nothing."""
    return [passed(name, f"{address.scheme}:// needs nothing")]


async def webhook_check(settings: Settings, address: OutletAddress, name: str, _: float) -> Sequence[Finding]:
    """Resolve the name, connect to an allowed address and check its certificate; no request is sent."""
    client = client_of(address, OutletParts(Metrics(), float, settings.outlets_allow_private))
    trouble = await client.connect()
    await client.close()
    if trouble:
        return [failure(name, trouble, f"check the address, its certificate and the way to it ({_OUTLETS})")]
    tls = " with a valid certificate" if address.scheme == "https" else ", without TLS"
    signed = "" if "secret" in address.options else "; deliveries are not signed: add secret=env:NAME"
    return [passed(name, f"{client.host} is reachable{tls}; no event was sent{signed}")]


async def sqs_check(_: Settings, address: OutletAddress, name: str, __: float) -> Sequence[Finding]:
    """Ask for the attributes of the queue. Whether we may send is not tried."""
    from aggregator.outlets.receivers.sqs_queue import SqsQueue  # noqa: PLC0415  # AWS's libraries take 0.3 s, 25 MiB

    queue = make_outlet(address, OutletParts(Metrics(), float))
    assert isinstance(queue, SqsQueue)  # noqa: S101  # the registry makes it for the kind sqs, which mypy cannot know
    try:
        await queue.open()
        found = await queue.attributes()
    except (OutletAway, StoreError) as error:
        return [failure(name, str(error), f"check queue, region and credentials ({_OUTLETS}); {_SQS_RIGHTS}")]
    finally:
        await queue.close()
    waiting = found.get("ApproximateNumberOfMessages", "?")
    return [passed(name, f"queue {address.place} has {waiting} messages; whether we may send is not tried")]


async def kafka_topic_check(settings: Settings, address: OutletAddress, name: str, seconds: float) -> Sequence[Finding]:
    """Ask the brokers for the topic and our rights on it."""
    return await kafka_check(settings, kafka_address(address), seconds, CheckedTopic(name, _OUTLETS, reads=False))


_LOOKS: Mapping[str, _Look] = {
    "https": webhook_check,
    "http": webhook_check,
    "sqs": sqs_check,
    "kafka": kafka_topic_check,
}
