"""Every kind of outlet by the scheme of its address. A new one is a module with an OutletKind and a line in KINDS."""

from collections.abc import Callable, Sequence

from aggregator.outlets.address import OutletAddress, parse_outlets
from aggregator.outlets.definition import OutletKind, OutletParts
from aggregator.outlets.ports import Outlet
from aggregator.outlets.receivers.kafka import KAFKA
from aggregator.outlets.receivers.sqs import SQS
from aggregator.outlets.receivers.stdout import STDOUT
from aggregator.outlets.receivers.webhook.webhook import HTTP, HTTPS

KINDS: dict[str, OutletKind] = {
    "sqs": SQS,
    "kafka": KAFKA,
    "stdout": STDOUT,
    "https": HTTPS,
    "http": HTTP,
}


def outlets_of(text: str) -> list[OutletAddress]:
    """Return the outlets that a text names, each checked by its kind. Raises ValueError without a secret in it."""
    found = parse_outlets(text, {scheme: kind.form for scheme, kind in KINDS.items()})
    _check(found, lambda address: KINDS[address.scheme].check(address))
    return found


def check_public(found: Sequence[OutletAddress]) -> None:
    """Check that no outlet needs OUTLETS_ALLOW_PRIVATE. Raises ValueError without a secret in it."""
    _check(found, lambda address: KINDS[address.scheme].check_public(address))


def _check(found: Sequence[OutletAddress], check: Callable[[OutletAddress], object]) -> None:
    for number, address in enumerate(found, start=1):
        try:
            check(address)
        except ValueError as error:
            raise ValueError(f"outlet {number}: {error}") from None


def make_outlet(address: OutletAddress, parts: OutletParts) -> Outlet:
    """Return the outlet of an address that `outlets_of` has returned; it is not open yet."""
    return KINDS[address.scheme].create(address, parts)


def outlet_forms() -> str:
    """Return the example of every kind, for the documentation of settings."""
    return ", ".join(kind.form.example for kind in KINDS.values())
