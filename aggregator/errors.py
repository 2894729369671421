"""The errors of the outside world: one tree for exchanges, one for stores, and the error that ends the process.

Adapters raise these instead of the exceptions of the library that they wrap. `Exchange.fetch` catches an ExchangeError
and returns a LeftOut. The caller of a store catches a StoreError and counts it under its `reason`.
"""

from typing import ClassVar

from aggregator.models import Reason

MOST_DETAIL = 200  # characters of a text from outside


def printable(text: str, most: int = MOST_DETAIL) -> str:
    """Return the first `most` characters of a text from outside, with `?` for each unprintable one."""
    text = text[:most]
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)


def in_words(error: Exception) -> str:
    """Return the error of a library's call as a text for a user: its message, not its name and its arguments."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, (AttributeError, KeyError, TypeError)):  # they come from reading the answer
        return printable(f"an answer that cannot be read ({type(error).__name__}: {error})")
    text = error.strerror if isinstance(error, OSError) else str(error)
    return printable((text or str(error)).strip()) or type(error).__name__


class CannotGoOn(Exception):
    """Ends the process: something outside is not as it must be. The message says what, and how to mend it."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(f"{what.removesuffix('.')}; {mend}" if mend else what)
        self.what = what
        self.mend = mend


class ExchangeError(Exception):
    """A call to an exchange gave no ticker. `counts`: whether the circuit breaker counts it as a failure.

    The message may contain text from the exchange, and goes into logs, responses and stores: its length is bounded.
    """

    reason: ClassVar[Reason]
    counts: ClassVar[bool] = True

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class ExchangeTimeout(ExchangeError):
    """The complete response did not arrive within the call's timeout."""

    reason = Reason.TIMEOUT


class ExchangeUnreachable(ExchangeError):
    """The connection was refused, reset or cut."""

    reason = Reason.UNREACHABLE


class ExchangeHttpError(ExchangeError):
    """The HTTP status is an error: 5xx, a 4xx that does not concern one symbol, or a refusal of a listed symbol."""

    reason = Reason.HTTP_ERROR


class Undecodable(ExchangeError):
    """The body does not have the format that the exchange documents."""

    reason = Reason.UNDECODABLE


class NotListed(ExchangeError):
    """The exchange does not list the symbol, which is not a fault of the exchange."""

    reason = Reason.NOT_LISTED
    counts = False


class RateLimited(ExchangeError):
    """We called too often, which is not a fault of the exchange. `seconds`: the pause that it asks for, if any."""

    reason = Reason.RATE_LIMITED
    counts = False

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class Maintenance(ExchangeError):
    """The exchange reports that it is closed for maintenance."""

    reason = Reason.MAINTENANCE


class Blocked(ExchangeError):
    """The exchange does not serve the country or network of our address; retries do not help."""

    reason = Reason.BLOCKED


class BreakerOpen(ExchangeError):
    """The exchange was not called, because its circuit breaker is open."""

    reason = Reason.BREAKER_OPEN
    counts = False


class StoreError(Exception):
    """A store could not execute a read or a write."""

    reason: ClassVar[str]


class StoreUnavailable(StoreError):
    """The store is unreachable, hangs or is overloaded; the same call may succeed later."""

    reason = "unavailable"


class StoreRefused(StoreError):
    """The store will never accept this write, or the stored data cannot be read; a retry does not help."""

    reason = "refused"


class RowsRefused(StoreRefused):
    """The store has taken nothing of a write, because of rows that it will never accept; others it would accept."""
