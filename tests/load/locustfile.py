"""Many users at once on a running service: `./test.sh load http://127.0.0.1:8080`.

More words go to locust; it works without test.sh, too, from the top folder and with --headless. `--load peers` is the
load of the system we re-implement: 1000 users on hot assets within 10 s, 500 on medium within 5 s, 200 on cold within
2 s, 10, 10 and 5 calls each. `--load mixed` is lists, sources, history and an unknown symbol among single prices.
Every answer is checked, and a wrong one is a failure. Each threshold gets a line; one missed makes the exit code 1.

What the figures can and cannot say, measured on 2 cores that the service (memory and SQLite), its three mock exchanges
and this one locust process shared with other work, November 2026:

| load                  | server                | requests/s   | p95 ms      | p99 ms      |
| --------------------- | --------------------- | ------------ | ----------- | ----------- |
| peers                 | service               | 1,600        | 1.7 to 18   | 2.5 to 34   |
| peers                 | bare uvicorn          | 1,600        | 1.7         | 3.7         |
| peers, --ramp 0       | service               | 5,100        | 1,300-1,400 | 2,400       |
| peers, --ramp 0       | bare uvicorn          | 5,800        | 1,300       | 2,200       |
| mixed, 100 users      | service               | 900          | 4           | 7           |
| mixed, 300 users      | service               | 1,300, 2,500 | 295, 32     | 515, 91     |
| mixed, 300 users      | bare uvicorn          | 2,700        | 3.5         | 18          |

- The rate of the three groups is that of their ramps, 16,000 calls in 10 s: any server that keeps up shows 1,600/s, and
  this load cannot tell whether one could do 8,000. The peers' 1000/s is held by it, and says no more than that.
- Without think time (none is told of) a user is gone after some milliseconds: 1700 come, only a few are there at once.
- With all at one moment (--ramp 0) a server of constant bytes does no better: 5,000 to 6,000/s and the second at p95
  are this process, not the server. Thresholds on time mean nothing there; `wrk` shows what a server can do.
- The spread within a row is the machine's other work; compare two servers in one go, in turns, and by the median.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from locust import LoadTestShape, User, events
from locust.env import Environment
from locust.runners import LocalRunner

from tests.load import figures
from tests.load.figures import TOTAL, Recorder, Threshold
from tests.load.users import GROUPS, TIERS, ColdUser, HotUser, LoadUser, MediumUser, MixedUser, Plan
from tests.parts.service import call

__all__ = ["ColdUser", "HotUser", "Load", "MediumUser", "MixedUser", "Shape"]  # locust finds them by name in here

GRACE_SECONDS = 60.0  # past its ramp or its time, for a server that cannot keep up; then the run is cut off and missed


def options(parser: argparse.ArgumentParser) -> None:
    """Add ours to locust's, whose --help does not show them, as it is answered before this file is read.

    Its own --json takes no file and prints its rounded figures, so ours go to --figures.
    """
    ours = parser.add_argument_group("Load on the price service")
    ours.add_argument("--load", choices=("peers", "mixed"), default="peers", help="three groups at once, or a mixture")
    ours.add_argument("--scale", type=float, default=1.0, help="peers: users and ramps times this, so at the same rate")
    ours.add_argument("--ramp", type=float, default=1.0, help="peers: ramps times this; 0 is everyone at one moment")
    ours.add_argument("--mixed-users", type=int, default=100, help="mixed: how many, each asking ten times a second")
    ours.add_argument("--mixed-seconds", type=float, default=30.0, help="mixed: for how long")
    ours.add_argument("--no-check-bodies", action="store_true", help="judge by status alone, for a stand-in server")
    ours.add_argument("--max-errors", type=float, default=0.1, help="percent of requests, exclusive")
    ours.add_argument("--p95-ms", type=float, default=80.0, help="exclusive")
    ours.add_argument("--p99-ms", type=float, default=100.0, help="exclusive")
    ours.add_argument("--min-hits", type=float, default=95.0, help="percent of cache look-ups, where /metrics has them")
    ours.add_argument("--min-rate", type=float, help="requests/s; not asked for unless given, as machines differ")
    ours.add_argument("--figures", type=Path, metavar="FILE", help="write the figures there, as JSON")


class Shape(LoadTestShape):
    """All users at once, each with its own turn, until the last has left or the time is up.

    Locust warns of the spawn rate; that is of the making of users, as users.py tells, and not of their calls.
    """

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be, or None to end; locust asks once a second."""
        runner = self.runner
        if runner is None:
            return None
        begun, classes = LoadUser.plan.begun, runner.environment.user_classes
        if begun is not None and (runner.user_count == 0 or time.monotonic() - begun > self.limit(classes)):
            LoadUser.plan.unfinished = runner.user_count
            return None
        users = sum(one.fixed_count for one in classes)
        return users, users

    def limit(self, classes: list[type[User]]) -> float:
        """Return how many seconds the run may take."""
        ramps = max(one.ramp_seconds for one in classes if issubclass(one, LoadUser))
        return ramps + (LoadUser.plan.mixed_seconds if MixedUser in classes else 0.0) + GRACE_SECONDS


class Load:
    """One run: prepared at start, listened to, judged at the end."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.asked = environment.parsed_options or argparse.Namespace()
        self.recorder = Recorder()
        self.verdict: list[Threshold] = []
        self.host = str(environment.host or "").rstrip("/")

    def prepare(self) -> None:
        """Read what there is to ask for, choose the users, and begin to listen. Raises SystemExit when it cannot be."""
        if not isinstance(self.environment.runner, LocalRunner):
            sys.exit("load: one process only; for more, start several")  # each has its turns and times to itself
        if not self.host:
            sys.exit("load: say which server with -H http://host:8080")
        self._choose_users()
        LoadUser.plan = Plan(self._assets(), not self.asked.no_check_bodies, self.asked.mixed_seconds)
        self.before = self._cache_counters()
        self.environment.events.request.add_listener(self.on_request)
        self.environment.events.quitting.add_listener(self.on_quitting)
        self.environment.events.quit.add_listener(self.on_quit)

    def on_request(self, name: str, start_time: float, response_time: float, exception: object, **_: Any) -> None:
        """Record one."""
        self.recorder.add(f"GET {name}", start_time, response_time, failed=exception is not None)

    def on_quitting(self, **_: Any) -> None:
        """Judge, and set the exit code."""
        rows = self.recorder.figures()
        self.verdict = self.thresholds(rows[TOTAL])
        self.environment.process_exit_code = int(any(one.held is False for one in self.verdict))
        if self.asked.figures:
            self.asked.figures.write_text(json.dumps(figures.as_json(rows), indent=2) + "\n", encoding="utf-8")

    def on_quit(self, **_: Any) -> None:
        """Say so, as the last words."""
        sys.stdout.write("".join(f"{one}\n" for one in self.verdict))

    def thresholds(self, total: figures.Figures) -> list[Threshold]:
        """Compare everything that was asked for with what was measured."""
        asked = self.asked
        runner = self.environment.runner
        crashed = len(runner.exceptions) if runner else 0
        left = LoadUser.plan.unfinished
        verdict = [
            Threshold("users", "all done", "cut off" if left is None else f"{left} not done", left == 0),
            Threshold("crashes of users", "none", str(crashed), crashed == 0),
            figures.errors(total, asked.max_errors),
            figures.quantile("p95", total.p95_ms, asked.p95_ms),
            figures.quantile("p99", total.p99_ms, asked.p99_ms),
            figures.hits(self.before, self._cache_counters(), asked.min_hits),
        ]
        return verdict + ([] if asked.min_rate is None else [figures.rate(total, asked.min_rate)])

    def _choose_users(self) -> None:
        """Keep those of the load asked for, and of them those named on the command line, if any were."""
        mixed = self.asked.load == "mixed"
        wanted: tuple[type[LoadUser], ...] = (MixedUser,) if mixed else GROUPS
        chosen = [one for one in wanted if one in self.environment.user_classes]
        if not chosen:
            sys.exit(f"load: none of the users named is of --load {self.asked.load}")
        if mixed:
            MixedUser.fixed_count = MixedUser.users = self.asked.mixed_users
        for one in chosen if not mixed else ():
            one.fixed_count = one.users = max(1, round(one.users * self.asked.scale))
            one.ramp_seconds *= self.asked.scale * self.asked.ramp
        self.environment.user_classes = list(chosen)

    def _assets(self) -> dict[str, list[str]]:
        """Read the symbols by tier."""
        try:
            listed = call("GET", f"{self.host}/assets").json["assets"]
            symbols = {tier: [one["symbol"] for one in listed if one["tier"] == tier] for tier in TIERS}
        except (OSError, ValueError, LookupError, TypeError) as error:
            sys.exit(f"load: {self.host}/assets does not tell the assets: {error!r}")
        if empty := [tier for tier, found in symbols.items() if not found]:
            sys.exit(f"load: {self.host}/assets has none of tier {', '.join(empty)}")
        return symbols

    def _cache_counters(self) -> dict[str, float]:
        """Read the cache's counters, or nothing where there are none."""
        try:
            answer = call("GET", f"{self.host}/metrics")
        except OSError:
            return {}
        return figures.cache_counters(answer.text) if answer.status == 200 else {}


def begin(environment: Environment, **_: Any) -> None:
    """Prepare a run."""
    Load(environment).prepare()


events.init_command_line_parser.add_listener(options)
events.init.add_listener(begin)
