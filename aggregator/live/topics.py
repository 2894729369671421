"""The hub: every new price, told to whoever listens in this process."""

from collections.abc import Sequence
from typing import Protocol

from aggregator.models import Price


class Listener(Protocol):
    """Someone who wants every price."""

    def receive(self, prices: Sequence[Price]) -> None:
        """Take new prices, at once and without waiting for anything."""

    def connected(self) -> None:
        """From now on every price will come."""

    def disconnected(self) -> None:
        """Prices are being missed from now on."""


class Bus:
    """Passes prices on, and whether all of them come: while the process is cut off from the others, some do not."""

    def __init__(self) -> None:
        self.connected = False
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell `listener` from now on."""
        self._listeners.append(listener)

    def publish(self, prices: Sequence[Price]) -> None:
        """Pass on new prices."""
        for listener in self._listeners:
            listener.receive(prices)

    def connect(self) -> None:
        """Pass on that every price comes from now on."""
        self.connected = True
        for listener in self._listeners:
            listener.connected()

    def disconnect(self) -> None:
        """Pass on that prices are being missed."""
        self.connected = False
        for listener in self._listeners:
            listener.disconnected()
