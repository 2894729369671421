"""Registration of a kind of outlet: the form of its address, the check of one, and its creation."""

from collections.abc import Callable

import msgspec

from aggregator.observability.metrics import Metrics
from aggregator.outlets.address import Form, OutletAddress
from aggregator.outlets.ports import Outlet
from aggregator.trades.event_log.kafka.address import KafkaSecurity


class OutletParts(msgspec.Struct, frozen=True):
    """The parts that an outlet may use in addition to its address. `now` is unix seconds.

    `allow_private`: whether a webhook may lead to private addresses.
    """

    metrics: Metrics
    now: Callable[[], float]
    allow_private: bool = False
    kafka_security: KafkaSecurity = KafkaSecurity()


def _is_public(_: OutletAddress) -> None:
    """Accept every address: those of an operator's own systems may be private."""


class OutletKind(msgspec.Struct, frozen=True):
    """A kind of outlet.

    `check` raises ValueError for an address that cannot work, with a message that names the option and has no secret.
    `check_public` raises it for one that needs OUTLETS_ALLOW_PRIVATE. `create` imports the outlet's library; it gets an
    address that `check` accepts.
    """

    form: Form
    check: Callable[[OutletAddress], object]
    create: Callable[[OutletAddress, OutletParts], Outlet]
    check_public: Callable[[OutletAddress], object] = _is_public
