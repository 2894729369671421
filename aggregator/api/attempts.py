"""A rate limit for wrong API keys: for each client address, and for all addresses together."""

import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network

_PAUSE = 6.0  # seconds that each wrong key adds to the debt of its address
_BURST = 10  # wrong keys at once before the address must wait
_PAUSE_OF_ALL = 0.1  # the same for all addresses together
_BURST_OF_ALL = 100
_MOST = 10_000  # addresses in memory, about 200 bytes each


class Attempts:
    """Counts wrong keys as debts of time: each wrong key adds a pause, and passing time reduces the debt.

    An address may try 10 wrong keys at once, and then one every 6 s. All addresses together may try 100 at once, and
    then ten a second; beyond that, every address with a debt must wait. An address without a debt never waits, so the
    guesses of others cannot lock out a valid key. Memory is bounded: the oldest debts are dropped.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owed_until: dict[str, float] = {}  # by address, ordered by the time of the last wrong key
        self._all_owe_until = 0.0

    def wait(self, client: str) -> float:
        """Return the seconds until this client may try a key; 0 if it may now."""
        if not self._owed_until:
            return 0.0
        now = self._clock()
        owed = self._owed_until.get(_address(client), 0.0) - now
        if owed <= 0:
            return 0.0
        return max(0.0, owed - _PAUSE * (_BURST - 1), self._all_owe_until - now - _PAUSE_OF_ALL * (_BURST_OF_ALL - 1))

    def failed(self, client: str) -> None:
        """Count a wrong key of this client."""
        now, address = self._clock(), _address(client)
        self._forget(now)
        self._owed_until[address] = max(now, self._owed_until.pop(address, 0.0)) + _PAUSE
        self._all_owe_until = max(now, self._all_owe_until) + _PAUSE_OF_ALL

    def _forget(self, now: float) -> None:
        """Drop debts that are paid off, and the oldest if there are too many."""
        while self._owed_until:
            address, until = next(iter(self._owed_until.items()))
            if until > now and len(self._owed_until) < _MOST:
                return
            del self._owed_until[address]


def _address(client: str) -> str:
    """Return the key of a client: its IPv4 address, or the /64 of its IPv6 address, all of which one client can use."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if address.version == 4:  # noqa: PLR2004  # IPv4
        return str(address)
    return str(address.ipv4_mapped or ip_network((address.packed[:8] + bytes(8), 64)))
