"""`sqs://queue?region=us-east-1[&endpoint=http://…]`: events as messages of an SQS queue, standard or FIFO.

Amazon's libraries are not imported until an outlet is created. Credentials come from the chain of AWS.
"""

import re
from urllib.parse import urlsplit

from aggregator.outlets.address import Form, OutletAddress
from aggregator.outlets.definition import OutletKind, OutletParts
from aggregator.outlets.ports import Outlet

_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?/?")
_ACCOUNT = re.compile(r"\d{12}")


def _check(address: OutletAddress) -> None:
    """Raise ValueError for an address that cannot be that of a queue."""
    if "@" in address.place:
        raise ValueError("sqs:// takes no credentials; use the environment, a profile or a role of AWS")
    if not _QUEUE.fullmatch(address.place):
        raise ValueError(
            "the queue of sqs:// must have 1 to 80 letters, digits, dashes and underscores, and may end with .fifo"
        )
    options = address.options
    if "region" in options and not _REGION.fullmatch(options["region"]):
        raise ValueError("region of sqs:// must be the name of a region, such as us-east-1")
    if "endpoint" in options and not _is_endpoint(options["endpoint"]):
        raise ValueError("endpoint of sqs:// must be http://host:port or https://host:port")
    if "account" in options and not _ACCOUNT.fullmatch(options["account"]):
        raise ValueError("account of sqs:// must be the 12 digits of an account of AWS")


def _is_endpoint(endpoint: str) -> bool:
    try:
        return bool(_ENDPOINT.fullmatch(endpoint)) and urlsplit(endpoint).port != 0
    except ValueError:  # the port is above 65535
        return False


def _create(address: OutletAddress, _: OutletParts) -> Outlet:
    from aggregator.outlets.receivers.sqs_queue import SqsQueue  # noqa: PLC0415  # AWS's libraries take 0.3 s, 25 MiB

    options = address.options
    return SqsQueue(address.place, options.get("region"), options.get("endpoint"), options.get("account"))


SQS = OutletKind(Form("sqs://queue?region=us-east-1", ("region", "endpoint", "account")), _check, _create)
