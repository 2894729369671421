"""A bound on wrong API keys: for each client address, and for all of them together."""

import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network

_PAUSE = 6.0  # seconds that a wrong key costs its address
_BURST = 10  # wrong keys in a row before the address has to wait
_PAUSE_OF_ALL = 0.1  # likewise for all addresses together
_BURST_OF_ALL = 100
_MOST = 10_000  # addresses that are remembered, at some 200 bytes


class Attempts:
    """Counts wrong keys as debts of time: each adds a pause, and time pays it off.

    An address may try 10 wrong keys at once and then one in 6 s. Where all addresses together have tried 100 at once,
    and more than ten a second from then on, those with a debt have to wait; an address without one may still try, so
    that a right key is never locked out by the guesses of others. Memory is bounded by forgetting the oldest debts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owed_until: dict[str, float] = {}  # by address, in the order of the last wrong key
        self._all_owe_until = 0.0

    def wait(self, client: str) -> float:
        """Return the seconds until this client may try a key; 0 where it may now."""
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
        """Drop what is paid off from the front, and the oldest where there are too many."""
        while self._owed_until:
            address, until = next(iter(self._owed_until.items()))
            if until > now and len(self._owed_until) < _MOST:
                return
            del self._owed_until[address]


def _address(client: str) -> str:
    """Return what stands for one client: an IPv4 address, or the /64 of an IPv6 address, all of which is one's own."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if address.version == 4:  # noqa: PLR2004  # IPv4
        return str(address)
    return str(address.ipv4_mapped or ip_network((address.packed[:8] + bytes(8), 64)))
