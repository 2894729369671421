"""The bus: passes every new price to the listeners of this process."""

from collections.abc import Sequence
from typing import Protocol

from aggregator.models import Price


class Listener(Protocol):
    """A part that receives every new price."""

    def receive(self, prices: Sequence[Price]) -> None:
        """Handle new prices. Must return at once, without I/O."""

    def connected(self) -> None:
        """Handle the start of a period in which every new price arrives."""

    def disconnected(self) -> None:
        """Handle the start of a period in which new prices may be missed."""


class Bus:
    """Publishes new prices to the listeners, and tells them whether all new prices arrive.

    Some are missed while the feed of other processes is cut off.
    """

    def __init__(self) -> None:
        self.connected = False
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def publish(self, prices: Sequence[Price]) -> None:
        """Pass new prices to every listener."""
        for listener in self._listeners:
            listener.receive(prices)

    def connect(self) -> None:
        """Tell every listener that all new prices arrive from now on."""
        self.connected = True
        for listener in self._listeners:
            listener.connected()

    def disconnect(self) -> None:
        """Tell every listener that new prices may be missed from now on."""
        self.connected = False
        for listener in self._listeners:
            listener.disconnected()
