"""Checks of the outlets: address, connection, certificate and rights. No event is sent."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from aggregator.cli.doctor.checks import Check, Finding, failure, passed
from aggregator.observability.metrics import Metrics
from aggregator.outlets.address import OutletAddress
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.webhook import client_of
from aggregator.settings import Settings

_OUTLETS = "AGGREGATOR_OUTLETS"

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


_LOOKS: Mapping[str, _Look] = {"https": webhook_check, "http": webhook_check}
