"""A parser of Server-Sent Events, as the HTML standard defines them. No I/O."""

from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """An event; `last_id` is the id of it, or of the last event before it that had one."""

    name: str
    data: bytes
    last_id: str


class Parser:
    """Makes events of the bytes of a stream, however these are cut."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry: float | None = None
        """Seconds after which the server wants a client to reconnect."""
        self._rest = b""
        self._after_return = False
        self._new_id = last_id
        self._name = "message"
        self._data: list[bytes] = []

    def feed(self, part: bytes) -> list[ServerSentEvent]:
        """Return the events that end in these bytes."""
        if self._after_return and part.startswith(b"\n"):
            part = part[1:]  # the second half of a line end that was cut
        if part:
            self._after_return = part.endswith(b"\r")
        found = []
        *lines, self._rest = (self._rest + part).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            if line:
                self._field(line)
            elif event := self._dispatched():
                found.append(event)
        return found

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._new_id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit():
            self.retry = int(value) / 1000

    def _dispatched(self) -> ServerSentEvent | None:
        """Return the event that an empty line ends; none if it has no data."""
        self.last_id = self._new_id
        name, data = self._name, b"\n".join(self._data)
        self._name, self._data = "message", []
        return ServerSentEvent(name, data, self.last_id) if data else None
