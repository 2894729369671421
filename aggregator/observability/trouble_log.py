"""Log lines about something that fails for a while, such as a store: its first failure and its recovery."""

import structlog


class TroubleLog:
    """Logs the event `fails` with the error when something begins to fail, and `works` when it works again.

    `fields` are in both lines. `error` is the last error, empty while there is none.
    """

    def __init__(self, fails: str, works: str, **fields: str) -> None:
        self.error = ""
        self._fails = fails
        self._works = works
        self._fields = fields

    def report(self, error: str) -> None:
        """Take the outcome of an attempt: its error, or an empty text for a success."""
        if error and not self.error:
            structlog.get_logger().warning(self._fails, error=error, **self._fields)
        elif self.error and not error:
            structlog.get_logger().info(self._works, **self._fields)
        self.error = error
