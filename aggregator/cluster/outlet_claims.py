"""The keys of events that are sent to outlets, so that of several machines one sends an event that two have.

    a machine claims the key, then sends the event -> another machine that has the same event deletes it

A machine sends what is in its own file. Two machines have the same event where a trade is read again after a takeover,
or where an alert was evaluated by both.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import structlog

from aggregator.errors import StoreUnavailable
from aggregator.stores.redis.client import RedisClient, mapped

_CLAIM = """
local taken = {}
for number, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if owner and owner ~= ARGV[1] then
    taken[#taken + 1] = number
  else
    redis.call('SET', key, ARGV[1], 'EX', ARGV[2])
  end
end
return taken
"""


class OutletClaims:
    """`aggregator.outlets.ports.KeyClaims` in Redis, for the file with the identity `file`.

    A claim holds for `seconds`: for those in which a key arrives once, and those that a call of an outlet may take.
    """

    def __init__(self, client: RedisClient, file: str, seconds: float) -> None:
        self._file = file
        self._seconds = int(seconds)
        self._prefix = f"{client.prefix}outlet_key:"
        self._claim = client.redis.register_script(_CLAIM)
        self._is_failing = False
        self._log = structlog.get_logger()

    async def taken(self, outlet: str, keys: Sequence[str]) -> AbstractSet[str]:
        """As `KeyClaims.taken`."""
        try:
            found = await self.claim(outlet, keys)
        except StoreUnavailable as error:
            if not self._is_failing:
                self._log.warning("outlet_claims_unknown", error=str(error))
            self._is_failing = True
            return frozenset()
        self._is_failing = False
        return found

    async def claim(self, outlet: str, keys: Sequence[str]) -> AbstractSet[str]:
        """As `taken`, but raises StoreUnavailable."""
        with mapped():
            names = [f"{self._prefix}{outlet.replace(' ', ':')}:{key}" for key in keys]
            found = await self._claim(keys=names, args=[self._file, self._seconds])
        return {keys[int(number) - 1] for number in found}
