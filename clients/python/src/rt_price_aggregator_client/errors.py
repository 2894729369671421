"""The errors of this package. All are AggregatorError; the service's refusals are Refused, by status."""

from collections.abc import Mapping, Sequence

import msgspec

from rt_price_aggregator_client.models import Ingested, LeftOut, RejectedRecord


class AggregatorError(Exception):
    """An error of this package."""


class ConnectionFailed(AggregatorError):
    """The service cannot be reached, or the connection was lost."""


class TimedOut(ConnectionFailed):
    """The service did not answer in time."""


class InvalidAnswer(AggregatorError):
    """An answer that is not what the contract says: another program answers there, or another version."""


class Refused(AggregatorError):
    """An answer with an error status. `code` is stable and can be compared, `msg` is for people."""

    def __init__(self, status: int, body: "Refusal", headers: Mapping[str, str]) -> None:
        super().__init__(f"{status} {body.code}: {body.msg}")
        self.status = status
        self.code = body.code
        self.msg = body.msg
        self.near: Sequence[str] = body.near
        """Names that an unknown name may mean."""
        self.left_out: Sequence[LeftOut] = body.left_out
        """Each exchange's reason, where no price could be made."""
        self.retry_after = _seconds(headers.get("Retry-After"))
        """Seconds to wait before the next attempt; None if the service names none."""
        self.request_id = headers.get("X-Request-ID")


class BadRequest(Refused):
    """A malformed symbol, parameter or body (400), or another status below 500 without a class of its own."""


class NoValidTrade(BadRequest):
    """No trade of `ingest` was valid. `ingested.rejected` has the reasons."""

    def __init__(self, ingested: Ingested) -> None:
        reasons = "; ".join(f"{one.index}: {one.reason}" for one in ingested.rejected[:3])
        super().__init__(400, Refusal(msg=f"No record is a trade: {reasons}", code="no_valid_trade"), {})
        self.ingested = ingested


class Unauthorized(Refused):
    """A key is needed (401)."""


class Forbidden(Refused):
    """The key is wrong, or for reading only (403)."""


class NotFound(Refused):
    """An unknown asset, exchange or rule, or no price or trade of it yet (404)."""


class Conflict(Refused):
    """Too many rules (409)."""


class RateLimited(Refused):
    """Too many calls, or too many wrong keys (429). `retry_after` has the seconds to wait."""


class SwitchedOff(Refused):
    """The service runs without this part (501)."""


class NoNewPrice(Refused):
    """A refresh got no usable price (502). `left_out` has each exchange's reason."""


class Unavailable(Refused):
    """No answer now (503): no current price, overload, a store that is away. `retry_after` has the seconds to wait."""


class ServerError(Refused):
    """Another status of 500 or more, for example of a proxy."""


class Refusal(msgspec.Struct, frozen=True):
    """The body of an error."""

    msg: str = ""
    code: str = ""
    near: list[str] = []
    left_out: list[LeftOut] = []
    accepted: int | None = None
    duplicates: int = 0
    rejected: list[RejectedRecord] = []
    rejected_count: int = 0


_BY_STATUS: Mapping[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
    501: SwitchedOff,
    502: NoNewPrice,
    503: Unavailable,
}
NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError)
"""The errors of msgspec's decoders; the second one is for texts that are no UTF-8."""

_decoder = msgspec.json.Decoder(Refusal, strict=False)
_SERVER_ERRORS = 500


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """Return the error of an answer. A body that is not the service's, such as a proxy's page, is the message."""
    refusal = body_of(body) or Refusal(msg=body[:200].decode(errors="replace"), code="")
    other = ServerError if status >= _SERVER_ERRORS else BadRequest
    kind = _BY_STATUS.get(status, other)
    if kind is NoNewPrice and not refusal.code:
        kind = ServerError  # a proxy's "bad gateway"
    return kind(status, refusal, headers)


def body_of(body: bytes) -> Refusal | None:
    """Return the decoded body of an error of the service; None for another body."""
    try:
        return _decoder.decode(body)
    except NOT_DECODED:
        return None


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdecimal() else None
