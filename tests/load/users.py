"""The users: three groups with a fixed number of calls each, and mixed users for a fixed time.

All users are created at once and each waits for its own start time, so that a group arrives evenly. Locust's own ramp
starts a whole second's worth of users at the same moment, which would measure the latency of bursts.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar, Protocol, cast

from locust import FastHttpUser, poisson, task
from locust.exception import StopUser

from tests.load import checks

TIERS = ("hot", "medium", "cold")
LIST_SIZES = (20, 200)
MIXED_RAMP_SECONDS = 2.0
MIXED_CALLS_PER_SECOND = 10.0  # calls of each user, by tier

# calls per hundred of a mixed user
MIX = {"hot": 55, "medium": 15, "cold": 8, "list": 6, "tier": 5, "sources": 5, "history": 5, "unknown": 1}

Check = Callable[[bytes], str]


class Answer(Protocol):
    """The part of locust's response that we use; locust types it without `success` and `failure`."""

    status_code: int
    content: bytes | None

    def success(self) -> None:
        """Count the request as a success."""

    def failure(self, exc: str) -> None:
        """Count the request as a failure."""


@dataclass
class Plan:
    """What all users of a run share; `begun` is on the monotonic clock, set by the first user."""

    assets: dict[str, list[str]]
    check_bodies: bool
    mixed_seconds: float
    begun: float | None = None
    unfinished: int | None = None  # users still running when the run was cut off; None when it ended by itself
    turns: dict[str, "count[int]"] = field(default_factory=dict)

    def begin(self) -> float:
        """Return the start of the run; the first call sets it."""
        if self.begun is None:
            self.begun = time.monotonic()
        return self.begun

    def turn(self, group: str) -> int:
        """Return the index of a user within its group, from 0."""
        return next(self.turns.setdefault(group, count()))


class LoadUser(FastHttpUser):
    """A user: waits for its start time, sends requests, and checks each answer."""

    abstract = True
    network_timeout = 10.0  # a hanging call is a failure, and the run still ends
    connection_timeout = 10.0
    plan: ClassVar[Plan]  # set before the start, because locust creates users from their class alone
    users: ClassVar[int] = 0
    ramp_seconds: ClassVar[float] = 0.0

    def on_start(self) -> None:
        """Wait for the user's start time."""
        due = self.plan.begin() + self.plan.turn(type(self).__name__) * self.ramp_seconds / self.users
        time.sleep(max(0.0, due - time.monotonic()))  # gevent's sleep, through locust's patch: other users go on

    def on_stop(self) -> None:
        """Close the connection; otherwise all connections would stay open until the end."""
        self.client.client.close()

    def ask(self, path: str, name: str, check: Check, status: int = 200) -> None:
        """GET a path and judge the answer."""
        with self.client.get(path, name=name, catch_response=True) as response:
            answer = cast("Answer", response)
            trouble = self._trouble(answer, check, status)
            if trouble:
                answer.failure(trouble)
            else:
                answer.success()

    def ask_one(self, tier: str) -> None:
        """GET the price of a random asset of a tier."""
        symbol = random.choice(self.plan.assets[tier])
        self.ask(f"/prices/{symbol}", f"/prices/{{{tier}}}", lambda body: checks.price(body, symbol))

    def _trouble(self, answer: Answer, check: Check, status: int) -> str:
        if not self.plan.check_bodies:
            # A stand-in answers an unknown symbol like any other.
            return "" if answer.status_code in (status, 200) else f"status {answer.status_code}"
        if answer.status_code != status:
            return f"status {answer.status_code}, not {status}"
        return check(answer.content or b"")


class GroupUser(LoadUser):
    """A user of a tier's group: a fixed number of calls, one after the other."""

    abstract = True
    tier: ClassVar[str]
    loops: ClassVar[int]
    asked = 0

    @task
    def price(self) -> None:
        """Make the next call, or stop."""
        if self.asked == self.loops:
            raise StopUser
        self.asked += 1
        self.ask_one(self.tier)


class HotUser(GroupUser):
    """One of a thousand users."""

    tier = "hot"
    users, ramp_seconds, loops = 1000, 10.0, 10


class MediumUser(GroupUser):
    """One of five hundred users."""

    tier = "medium"
    users, ramp_seconds, loops = 500, 5.0, 10


class ColdUser(GroupUser):
    """One of two hundred users."""

    tier = "cold"
    users, ramp_seconds, loops = 200, 2.0, 5


class MixedUser(LoadUser):
    """A user with mixed requests until the time is over, at random intervals so that users do not synchronise."""

    ramp_seconds = MIXED_RAMP_SECONDS
    wait_time = poisson(MIXED_CALLS_PER_SECOND)

    @task
    def something(self) -> None:
        """Make a random request, or stop."""
        if time.monotonic() - self.plan.begin() > self.plan.mixed_seconds:
            raise StopUser
        (kind,) = random.choices(list(MIX), list(MIX.values()))
        if kind in TIERS:
            self.ask_one(kind)
        else:
            getattr(self, f"ask_{kind}")()

    def ask_list(self) -> None:
        """GET the prices of 20 to 200 random assets (or of all when there are fewer)."""
        everything = [symbol for tier in TIERS for symbol in self.plan.assets[tier]]
        chosen = random.sample(everything, min(random.randint(*LIST_SIZES), len(everything)))
        self._ask_many(f"/prices?assets={','.join(chosen)}", "/prices?assets={20..200}", chosen)

    def ask_tier(self) -> None:
        """GET the prices of the hot tier."""
        self._ask_many("/prices?tier=hot", "/prices?tier=hot", self.plan.assets["hot"])

    def ask_sources(self) -> None:
        """GET the sources of a hot asset."""
        symbol = random.choice(self.plan.assets["hot"])
        self.ask(f"/prices/{symbol}/sources", "/prices/{hot}/sources", lambda body: checks.sources(body, symbol))

    def ask_history(self) -> None:
        """GET the newest history of a hot asset."""
        symbol = random.choice(self.plan.assets["hot"])
        path = f"/prices/{symbol}/history?limit=20"
        self.ask(path, "/prices/{hot}/history", lambda body: checks.history(body, symbol))

    def ask_unknown(self) -> None:
        """GET an unlisted asset: 404 is the right answer."""
        self.ask(f"/prices/nosuch{random.randrange(1000)}", "/prices/{unknown}", checks.unknown, 404)

    def _ask_many(self, path: str, name: str, symbols: Sequence[str]) -> None:
        self.ask(path, name, lambda body: checks.prices(body, symbols))


GROUPS: tuple[type[GroupUser], ...] = (HotUser, MediumUser, ColdUser)
