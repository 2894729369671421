"""The keys of the trades that were added last, so that a duplicate is recognised without a read of the store."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice

from aggregator.models import Trade

_MOST = 300_000  # some 30 MB


class RecentKeys:
    """The hashes of at most `most` keys; those added first are forgotten first."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._hashes: dict[bytes, None] = {}

    def unknown(self, trades: Sequence[Trade]) -> dict[bytes, Trade]:
        """Return the trades whose keys are not known, by hash; of those with the same key, the first."""
        found: dict[bytes, Trade] = {}
        for trade in trades:
            key = f"{trade.asset}\0{trade.timestamp!r}\0{trade.venue}\0{trade.id}"
            digest = blake2b(key.encode(), digest_size=16).digest()
            if digest not in self._hashes:
                found.setdefault(digest, trade)
        return found

    def add(self, hashes: Iterable[bytes]) -> None:
        """Remember keys."""
        self._hashes.update(dict.fromkeys(hashes))
        for old in list(islice(self._hashes, max(0, len(self._hashes) - self._most))):
            del self._hashes[old]
