"""The rules of a service, kept in the store of events, from which every process reads them.

A rule is an event of the topic `alert_rules`; its deletion is an event of the same id with a later time. The store
deletes old events, so a rule is written again, under a later time, before a quarter of the retention has passed. That
time follows from the one before: processes that do so together write the same event.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from aggregator.alerts.rule_file import in_order
from aggregator.alerts.rules import EVERY_ASSET, MOST_OF_EVERY_ASSET, MOST_RULES, Rule
from aggregator.errors import StoreError
from aggregator.models import encode
from aggregator.observability.trouble_log import TroubleLog
from aggregator.trades.ports import EventStore, StoredEvent

TOPIC = "alert_rules"
POLL_SECONDS = 5.0
_PARTITION = "rules"  # in the place of an asset: all rules are read together
_DELETED = b"null"
_PAGE = 500
_MOST_PAGES = 100
_AHEAD = 86_400.0  # seconds that the clock of another process may be ahead
_BEHIND = 60.0  # seconds that the clock of another process may be behind
_WHOLE_SECONDS = 300.0  # between two reads of all rules; those between read what is new
_MIN_STEP = 1e-3  # seconds between two versions of a rule
_COPIES = 4  # of a rule, within the retention

_decoder = msgspec.json.Decoder(Rule | None)


class TooManyRules(Exception):
    """There are as many rules as there may be."""


class RuleOfFile(Exception):
    """The rule is in the file of the settings, and can be deleted only there."""


class RuleBook:
    """The rules as this process knows them, by id. `retention` is that of the store, in seconds.

    `fixed` are those of the file of the settings; they are not in the store.
    """

    def __init__(
        self, store: EventStore, retention: float, now: Callable[[], float], fixed: Sequence[Rule] = ()
    ) -> None:
        self._fixed = fixed
        self._store = store
        self._step = retention / _COPIES
        self._now = now
        self._versions: dict[str, tuple[float, Rule | None]] = {}  # time and rule by id; None where it is deleted
        self._newest = 0.0
        self._whole_at = float("-inf")
        self._changed: Callable[[Sequence[Rule]], None] = _nothing
        self._trouble = TroubleLog("alert_rules_not_read", "alert_rules_read_again")

    @property
    def rules(self) -> list[Rule]:
        """The rules in the order of their creation."""
        known = [rule for _, rule in self._versions.values() if rule is not None]
        return in_order([*self._fixed, *known])

    def on_change(self, changed: Callable[[Sequence[Rule]], None]) -> None:
        """Call `changed` with all rules after each change, and now if there are any."""
        self._changed = changed
        if self.rules:
            changed(self.rules)

    async def read(self) -> None:
        """Read what other processes have changed. Raises StoreError."""
        now = self._now()
        is_whole = now - self._whole_at >= _WHOLE_SECONDS
        start = 0.0 if is_whole else max(0.0, self._newest - _BEHIND)
        before = self.rules
        after: tuple[float, str] | None = None
        for _ in range(_MOST_PAGES):
            page = await self._store.events(
                TOPIC, _PARTITION, start, now + _AHEAD, _PAGE, newest_first=False, after=after
            )
            for event in page:
                self._learn(event)
            if len(page) < _PAGE:
                break
            after = (page[-1].timestamp, page[-1].id)
        if is_whole:
            self._whole_at = now
        if self.rules != before:
            self._changed(self.rules)

    async def add(self, rule: Rule) -> Rule:
        """Keep a rule and return it, or the one with the same fields that is kept. Raises TooManyRules, StoreError."""
        await self.read()
        rules = self.rules
        for one in rules:
            if msgspec.structs.replace(one, id=rule.id, created_at=rule.created_at) == rule:
                return one
        of_every_asset = sum(one.asset == EVERY_ASSET for one in rules)
        if len(rules) >= MOST_RULES or (rule.asset == EVERY_ASSET and of_every_asset >= MOST_OF_EVERY_ASSET):
            raise TooManyRules
        deleted_at, _ = self._versions.get(rule.id, (0.0, None))
        await self._write(rule.id, max(rule.created_at, deleted_at + _MIN_STEP), rule)
        self._changed(self.rules)
        return rule

    async def remove(self, name: str) -> bool:
        """Delete the rule with this id; return whether there was one. Raises RuleOfFile, and StoreError."""
        if any(rule.id == name for rule in self._fixed):
            raise RuleOfFile
        await self.read()
        timestamp, rule = self._versions.get(name, (0.0, None))
        if rule is None:
            return False
        await self._write(name, max(self._now(), timestamp + _MIN_STEP), None)
        self._changed(self.rules)
        return True

    async def run(self) -> None:
        """Read what other processes change, and write rules again before the store deletes them; never return."""
        while True:
            try:
                await self.read()
                await self._renew()
            except StoreError as error:
                self._trouble.report(str(error))
            else:
                self._trouble.report("")
            await asyncio.sleep(POLL_SECONDS)

    async def _renew(self) -> None:
        now = self._now()
        for name, (timestamp, rule) in list(self._versions.items()):
            steps = (now - timestamp) // self._step
            if steps < 1:
                continue
            if rule is None:  # the store deletes what it knows of it, the last copy of the rule first
                if steps > _COPIES:
                    del self._versions[name]
            else:
                await self._write(name, timestamp + steps * self._step, rule)

    async def _write(self, name: str, timestamp: float, rule: Rule | None) -> None:
        body = _DELETED if rule is None else encode(rule)
        event = StoredEvent(_PARTITION, timestamp, name, body)
        await self._store.put(TOPIC, [event])
        self._learn(event)

    def _learn(self, event: StoredEvent) -> None:
        """Take the newest version of each rule."""
        self._newest = max(self._newest, event.timestamp)
        if event.timestamp < self._versions.get(event.id, (0.0, None))[0]:
            return
        try:
            self._versions[event.id] = event.timestamp, _decoder.decode(event.body)
        except msgspec.DecodeError as error:  # of another version of this service
            structlog.get_logger().warning("alert_rule_unreadable", rule=event.id, error=str(error))


def _nothing(_: Sequence[Rule]) -> None:
    """Do nothing: no part evaluates the rules in this process."""
