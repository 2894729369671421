"""Many users at once on a running service: `./test.sh load http://127.0.0.1:8080`.

Further arguments go to locust; the file also works with plain locust, from the top folder and with --headless.
`--load peers` is the load of the previous system: 1000 users on hot assets within 10 s, 500 on medium within 5 s and
200 on cold within 2 s, with 10, 10 and 5 calls each. `--load mixed` adds lists, sources, history and an unknown symbol
to single prices. Every answer is checked, and a wrong one is a failure. Each threshold is one line of output; a missed
one makes the exit code 1.

What the figures can and cannot show, measured on 2 cores shared by the service (memory and SQLite), its three mock
exchanges, this one locust process and other work, November 2026:

| load                  | server                | requests/s   | p95 ms      | p99 ms      |
| --------------------- | --------------------- | ------------ | ----------- | ----------- |
| peers                 | service               | 1,600        | 1.7 to 18   | 2.5 to 34   |
| peers                 | bare uvicorn          | 1,600        | 1.7         | 3.7         |
| peers, --ramp 0       | service               | 5,100        | 1,300-1,400 | 2,400       |
| peers, --ramp 0       | bare uvicorn          | 5,800        | 1,300       | 2,200       |
| mixed, 100 users      | service               | 900          | 4           | 7           |
| mixed, 300 users      | service               | 1,300, 2,500 | 295, 32     | 515, 91     |
| mixed, 300 users      | bare uvicorn          | 2,700        | 3.5         | 18          |

- The rate of the three groups follows from their ramps, 16,000 calls in 10 s: any server that keeps up shows 1,600/s,
  and this load cannot show whether a server could do 8,000. It meets the previous system's goal of 1000/s, no more.
- Without think time (the load has none) a user is done after some milliseconds: of 1700 users, few are there at once.
- With all users at one moment (--ramp 0) a server of constant bytes does no better: 5,000 to 6,000/s and a p95 of more
  than a second are the limit of this process, not of the server. Thresholds on time mean nothing there; use `wrk`.
- The spread within a row comes from the machine's other work; compare two servers in one session, alternating, by the
  median.
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

# Locust finds the user classes by name in this module.
__all__ = ["ColdUser", "HotUser", "Load", "MediumUser", "MixedUser", "Shape"]

GRACE_SECONDS = 60.0  # time past the ramp or duration for a slow server; after it the run is cut off and fails


def options(parser: argparse.ArgumentParser) -> None:
    """Add our options to locust's; its --help does not show them, because it runs before this file is read.

    Locust's own --json takes no file and has rounded figures, so ours go to --figures.
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
    """Spawns all users at once, each with its own start time, until the last has finished or the time is over.

    Locust warns about the spawn rate; here it is the rate of creating users (see users.py), not of their calls.
    """

    def tick(self) -> tuple[int, float] | None:
        """Return the number of users, or None to end; locust calls this once per second."""
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
        """Return the time limit of the run in seconds."""
        ramps = max(one.ramp_seconds for one in classes if issubclass(one, LoadUser))
        return ramps + (LoadUser.plan.mixed_seconds if MixedUser in classes else 0.0) + GRACE_SECONDS


class Load:
    """One run: prepared at the start, recorded, judged at the end."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.asked = environment.parsed_options or argparse.Namespace()
        self.recorder = Recorder()
        self.verdict: list[Threshold] = []
        self.host = str(environment.host or "").rstrip("/")

    def prepare(self) -> None:
        """Read the assets, choose the users, and start to record; raise SystemExit when that is impossible."""
        if not isinstance(self.environment.runner, LocalRunner):
            # Each process would have start times and recorded times of its own.
            sys.exit("load: one process only; for more, start several")
        if not self.host:
            sys.exit("load: say which server with -H http://host:8080")
        self._choose_users()
        LoadUser.plan = Plan(self._assets(), not self.asked.no_check_bodies, self.asked.mixed_seconds)
        self.before = self._cache_counters()
        self.environment.events.request.add_listener(self.on_request)
        self.environment.events.quitting.add_listener(self.on_quitting)
        self.environment.events.quit.add_listener(self.on_quit)

    def on_request(self, name: str, start_time: float, response_time: float, exception: object, **_: Any) -> None:
        """Record one request."""
        self.recorder.add(f"GET {name}", start_time, response_time, failed=exception is not None)

    def on_quitting(self, **_: Any) -> None:
        """Judge the run, and set the exit code."""
        rows = self.recorder.figures()
        self.verdict = self.thresholds(rows[TOTAL])
        self.environment.process_exit_code = int(any(one.held is False for one in self.verdict))
        if self.asked.figures:
            self.asked.figures.write_text(json.dumps(figures.as_json(rows), indent=2) + "\n", encoding="utf-8")

    def on_quit(self, **_: Any) -> None:
        """Print the verdict as the last lines."""
        sys.stdout.write("".join(f"{one}\n" for one in self.verdict))

    def thresholds(self, total: figures.Figures) -> list[Threshold]:
        """Judge every threshold."""
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
        """Keep the user classes of the chosen load, limited to those named on the command line, if any."""
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
        """Read the cache's counters; an empty dict when there are none."""
        try:
            answer = call("GET", f"{self.host}/metrics")
        except OSError:
            return {}
        return figures.cache_counters(answer.text) if answer.status == 200 else {}


def begin(environment: Environment, **_: Any) -> None:
    """Prepare the run."""
    Load(environment).prepare()


events.init_command_line_parser.add_listener(options)
events.init.add_listener(begin)
