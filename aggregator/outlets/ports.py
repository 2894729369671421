"""The port of an outlet: what the outbox of outlets sends to, and what is sent."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Protocol

import msgspec


class OutletEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as outlets send it.

    `key` and `timestamp`, unix seconds, are the same for an event that is made twice. `body` is the JSON that streams
    show. `tier` is that of the asset. `outlet` names the only outlet it is for; empty: every outlet that wants it.
    """

    topic: str
    asset: str
    key: str
    timestamp: float
    body: bytes
    tier: str = ""
    outlet: str = ""


class Verdict(StrEnum):
    """The outcome of one event of a batch.

    DELIVERED: the receiver has it. REFUSED: it does not take this event, however often it is sent. RETRY: it may take
    it later. BATCH_REFUSED, of all events of a batch: it took none, and one of them may be the reason.
    """

    DELIVERED = "delivered"
    REFUSED = "refused"
    RETRY = "retry"
    BATCH_REFUSED = "batch_refused"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The verdict of one event, and the reason of a refusal or a retry in at most 200 printable characters."""

    verdict: Verdict = Verdict.DELIVERED
    reason: str = ""


DELIVERED = Answer()


class OutletError(Exception):
    """No event of the batch was delivered; the message has no secret."""


class OutletAway(OutletError):
    """The outlet is away or throttles: the batch waits, and is sent again.

    `retry_after` is the pause in seconds that the outlet asks for, bounded by the adapter. `is_unsure`: the receiver
    may have taken the batch, as its answer was lost; then the batch may arrive twice, and is counted.
    """

    def __init__(self, message: str, retry_after: float | None = None, *, is_unsure: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_unsure = is_unsure


class OutletEnded(OutletError):
    """The receiver wants no events any more, such as a webhook that answers 410. The outlet stays ended."""


class Outlet(Protocol):
    """A receiver of events. Adapters are made by a line in `aggregator.outlets.registry`."""

    @property
    def most_events(self) -> int:
        """The largest number of events of one `send`."""

    @property
    def most_bytes(self) -> int:
        """The largest sum of the bodies' bytes of one `send`; a larger single event is sent alone."""

    @property
    def lanes(self) -> int:
        """The most calls of `send` that may be under way at a time, each with events of other assets."""

    @property
    def is_atomic(self) -> bool:
        """Whether a batch is delivered in its order, and not in part.

        If not, a batch has at most one event of each asset, so that order per asset holds when a part is not taken.
        """

    async def open(self) -> None:
        """Check the receiver as far as that is cheap. Raises StoreRefused for what cannot work, StoreUnavailable."""

    async def send(self, events: Sequence[OutletEvent], /) -> Sequence[Answer]:
        """Send a batch; return an answer for each event. Raises OutletAway and OutletEnded for all of them.

        Bounded in time by the adapter; the caller gives up after `aggregator.outlets.outbox.sender.SEND_SECONDS`.
        """

    async def close(self) -> None:
        """Close the connections."""


class KeyClaims(Protocol):
    """The keys that each file of an outbox sends, where several machines have the same outlet."""

    async def taken(self, outlet: str, keys: Sequence[str], /) -> AbstractSet[str]:
        """Claim keys for this file; return those that another file has claimed within 300 seconds.

        `keys` are digests. Nothing is taken while the claims cannot be read: an outlet must not wait for them.
        """


class Handover(Protocol):
    """Takes events for the outlets."""

    async def hand_over(self, events: Sequence[OutletEvent], /) -> None:
        """Write events for every outlet that wants them; durable when it returns. Raises StoreError."""
