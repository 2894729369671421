"""What can go wrong outside: two small trees, one for exchanges and one for stores, and what ends the process.

Adapters raise these instead of the exceptions of the library they wrap. An ExchangeError ends at `Exchange.fetch`,
which answers with a LeftOut; a StoreError ends where the store was called, and is counted under its `reason`.
"""

from typing import ClassVar

from aggregator.models import Reason

MOST_DETAIL = 200


def printable(text: str, most: int = MOST_DETAIL) -> str:
    """Return the first `most` characters of a text from outside, `?` in place of each that cannot be printed."""
    text = text[:most]
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)


class CannotGoOn(Exception):
    """Something outside is not as it must be, so the process ends; the message says what, and how to mend it."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(f"{what}; {mend}" if mend else what)
        self.what = what
        self.mend = mend


class ExchangeError(Exception):
    """A call to an exchange brought no ticker. `counts`: whether it speaks against the exchange's health.

    The message goes into logs, answers and stores, and much of it may be the exchange's: it is bounded.
    """

    reason: ClassVar[Reason]
    counts: ClassVar[bool] = True

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class ExchangeTimeout(ExchangeError):
    """No whole answer within the call's timeout."""

    reason = Reason.TIMEOUT


class ExchangeUnreachable(ExchangeError):
    """The connection was refused, reset or cut."""

    reason = Reason.UNREACHABLE


class ExchangeHttpError(ExchangeError):
    """An HTTP status that is no answer: 5xx, or a 4xx that is not about one symbol."""

    reason = Reason.HTTP_ERROR


class Undecodable(ExchangeError):
    """The body is not what the exchange's dialect says it is."""

    reason = Reason.UNDECODABLE


class NotListed(ExchangeError):
    """The exchange does not know the symbol: no fault of the exchange."""

    reason = Reason.NOT_LISTED
    counts = False


class RateLimited(ExchangeError):
    """We asked too often: our fault, not the exchange's. `seconds`: until when it wants none, where it says so."""

    reason = Reason.RATE_LIMITED
    counts = False

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class Maintenance(ExchangeError):
    """The exchange says that it is closed for a while."""

    reason = Reason.MAINTENANCE


class Blocked(ExchangeError):
    """The exchange does not serve the country or network that we call from; waiting does not help."""

    reason = Reason.BLOCKED


class BreakerOpen(ExchangeError):
    """Not asked at all: the exchange's breaker is open."""

    reason = Reason.BREAKER_OPEN
    counts = False


class StoreError(Exception):
    """A store could not do what it was asked."""

    reason: ClassVar[str]


class StoreUnavailable(StoreError):
    """The store is away, hangs or is overloaded; the same call may succeed later."""

    reason = "unavailable"


class StoreRefused(StoreError):
    """The store will never take this, or what it holds cannot be read."""

    reason = "refused"
