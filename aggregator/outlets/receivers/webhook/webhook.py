"""`https://…`: events as the JSON array of a POST, with a signature; docs/webhooks.md describes it for receivers.

[{"topic":"prices","asset":"btcusdt","key":"…","timestamp":1700000000.0,"event":{…}}, …]
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from aggregator.outlets.address import Form, OutletAddress
from aggregator.outlets.definition import OutletKind, OutletParts
from aggregator.outlets.ports import DELIVERED, Answer, OutletAway, OutletEnded, OutletEvent, Verdict
from aggregator.outlets.receivers.webhook.client import Posted, WebhookClient
from aggregator.outlets.receivers.webhook.signature import MOST_SECRET, delivery_headers, delivery_id, secret_bytes
from aggregator.outlets.receivers.webhook.target import WebhookTarget, webhook_target

LEAST_PAUSE, MOST_PAUSE = 1.0, 300.0
"""Bounds of the seconds that a Retry-After asks for."""

_TRY_AGAIN = {408, 425, 429}  # and every 5xx
_GONE = 410
_OF_CONTENT = {400, 413, 422}  # one event may be the reason
_GATEWAY = {502, 504}  # the receiver behind it may have taken the events
_MOST_FILE = 2 * MOST_SECRET  # bytes of a file with a secret


class _Event(msgspec.Struct):
    topic: str
    asset: str
    key: str
    timestamp: float
    event: msgspec.Raw


class Webhook:
    """`aggregator.outlets.ports.Outlet` of one receiver. `now` is unix seconds; without a `secret`, nothing is signed.

    The answer counts for all events of a delivery.
    """

    most_events = 100
    most_bytes = 256 << 10
    lanes = 8
    is_atomic = True

    def __init__(self, client: WebhookClient, secret: bytes | None, now: Callable[[], float]) -> None:
        self._client = client
        self._secret = secret
        self._now = now

    async def open(self) -> None:
        """Do nothing: the receiver may be away at first."""

    async def send(self, events: Sequence[OutletEvent]) -> Sequence[Answer]:
        """As `Outlet.send`."""
        body = body_of(events)
        headers = delivery_headers(delivery_id(event.key for event in events), int(self._now()), body, self._secret)
        return [answer_of(await self._client.post(body, headers))] * len(events)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def body_of(events: Sequence[OutletEvent]) -> bytes:
    """Return the body of a delivery."""
    return msgspec.json.encode(
        [_Event(one.topic, one.asset, one.key, one.timestamp, msgspec.Raw(one.body)) for one in events]
    )


def answer_of(posted: Posted) -> Answer:
    """Return the answer of a delivery by its status.

    Raises OutletAway where it is to be sent again, and OutletEnded where the receiver wants none any more.
    """
    status = posted.status
    if not status:
        raise OutletAway(posted.trouble, is_unsure=posted.is_unsure)
    if 200 <= status < 300:  # noqa: PLR2004  # of HTTP
        return DELIVERED
    reason = f"HTTP {status}"
    if status == _GONE:
        raise OutletEnded(f"{reason}: the receiver wants no more events")
    if status in _TRY_AGAIN or status >= 500:  # noqa: PLR2004  # of HTTP
        asked = posted.retry_after
        pause = None if asked is None else min(max(asked, LEAST_PAUSE), MOST_PAUSE)
        raise OutletAway(reason, pause, is_unsure=status in _GATEWAY)
    if 300 <= status < 400:  # noqa: PLR2004  # of HTTP
        reason += ": redirects are not followed"
    return Answer(Verdict.BATCH_REFUSED if status in _OF_CONTENT else Verdict.REFUSED, reason)


def target_of(address: OutletAddress, *, allow_private: bool) -> WebhookTarget:
    """Return the checked URL of an address. Raises ValueError."""
    return webhook_target(address.url, allow_private=allow_private)


def secret_of(address: OutletAddress) -> bytes | None:
    """Return the secret that an address names; None if it names none. Raises ValueError without a secret in it."""
    named = address.options.get("secret")
    if named is None:
        return None
    kind, _, where = named.partition(":")
    if kind not in ("env", "file") or not where:
        raise ValueError("secret of a webhook must be env:NAME or file:PATH, which have the secret")
    if kind == "env":
        text = os.environ.get(where, "")
        if not text:
            raise ValueError("secret of a webhook names a variable that is not in the environment")
        return secret_bytes(text)
    try:
        with Path(where).open(encoding="utf-8") as file:
            return secret_bytes(file.read(_MOST_FILE))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"secret of a webhook names a file that cannot be read: {type(error).__name__}") from error


def client_of(address: OutletAddress, parts: OutletParts) -> WebhookClient:
    """Return the client of a receiver. Raises ValueError for an address that is not allowed."""
    target = target_of(address, allow_private=parts.allow_private)
    return WebhookClient(target, parts.now, allow_private=parts.allow_private)


def _check(address: OutletAddress) -> None:
    target_of(address, allow_private=True)
    secret_of(address)


def _check_public(address: OutletAddress) -> None:
    target_of(address, allow_private=False)


def _create(address: OutletAddress, parts: OutletParts) -> Webhook:
    return Webhook(client_of(address, parts), secret_of(address), parts.now)


HTTPS = OutletKind(
    Form("https://host/path?secret=env:NAME", ("secret",), keeps_rest=True), _check, _create, _check_public
)
HTTP = OutletKind(Form("http://host/path", ("secret",), keeps_rest=True), _check, _create, _check_public)
