"""One soak: two lives of the service with a kill between them, and what must hold afterwards."""

import re
import sys
import time
from pathlib import Path
from statistics import median

from tests.parts.commands import run_command
from tests.parts.service import environment_of
from tests.soak.clients import VENUE, Client, PriceReader, StreamReader, TradeSender
from tests.soak.memory import MemoryWatch, Sample, growth
from tests.soak.scene import Faults, Scene

ASSETS = ["btcusdt", "ethusdt", "solusdt", "xrpusdt", "dogeusdt", "adausdt", "bnbusdt", "linkusdt"]
POSTED = 40.0  # trades per second that are posted at normal rates
REST, LASTS = 120.0, 25.0  # mean of the seconds between two faults; the longest of a fault
LEAST_SECONDS = 2400.0  # of a life whose memory is judged: windows and models grow during the first twenty minutes
MOST_GROWTH = 0.05  # of the memory in an hour, during the second half of a life
_SETTLE_SECONDS = 180.0
_SAY_SECONDS = 60.0


class Soak:
    """A soak of `seconds`, with faults drawn from `seed`, at `tenfold` times the normal rates."""

    def __init__(self, folder: Path, seconds: float, seed: int, tenfold: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._seed = seed
        self._scene = Scene(folder, tenfold)
        self._sender = TradeSender(ASSETS, POSTED * tenfold)
        self._prices = PriceReader(ASSETS, every=0.2)
        self._stream = StreamReader()
        self._clients: list[Client] = [self._sender, self._prices, self._stream]
        self._lives: list[list[Sample]] = []
        self._faults: list[str] = []
        self._unsure = 0.0  # events whose answer from the webhook was lost, so that they were sent again

    def run(self) -> list[str]:
        """Run it; return the promises that were broken."""
        self._serve()
        for client in self._clients:
            client.start()
        self._live(1)
        for client in self._clients:
            client.url = ""
        self._scene.receiver.killed_at = time.monotonic()
        self._scene.kill()
        self._scene.start()
        self._prices.restarted()
        self._serve()
        self._live(2)
        for client in self._clients:
            client.stop()
        self._sender.finish(_SETTLE_SECONDS)
        return self._judged()

    def report(self) -> str:
        """Return what happened, in lines."""
        lines = [f"fault at {one}" for one in self._faults]
        for number, life in enumerate(self._lives, 1):
            for name, sizes in (("service", [one.main for one in life]), ("children", [one.children for one in life])):
                third = max(1, len(sizes) // 3)
                first, last = median(sizes[:third]) / 1e6, median(sizes[-third:]) / 1e6
                lines.append(f"life {number}: {name} {first:.0f} MB (first third), {last:.0f} MB (last third)")
            lines.append(f"life {number}: growth in its second half {100 * _hourly(life):+.2f} % an hour")
        receiver = self._scene.receiver
        total = (
            f"{len(self._faults)} faults; {self._sender.acknowledged} trades posted and acknowledged;"
            f" {self._prices.done} rounds of reads; {self._stream.done} prices streamed;"
            f" {receiver.events} events at the webhook, {receiver.again} again ({self._unsure:g} unsure),"
            f" {receiver.after_kill} again after the kill"
        )
        return "\n".join([*lines, total])

    def _serve(self) -> None:
        for client in self._clients:
            client.url = self._scene.service.url

    def _live(self, life: int) -> None:
        """Let half of the time pass with faults, which have ended at its end."""
        seconds = self._seconds / 2
        memory = MemoryWatch(self._scene.service.process.child.pid)
        faults = Faults(self._scene, self._seed + life, min(REST, seconds / 10), min(LASTS, seconds / 20))
        started = time.monotonic()
        while (left := started + seconds - time.monotonic()) > 0:
            time.sleep(min(left, _SAY_SECONDS))
            main = memory.samples[-1].main / 1e6 if memory.samples else 0
            say(
                f"life {life}, {time.monotonic() - started:.0f} s: {main:.0f} MB, {len(faults.happened)} faults,"
                f" {self._sender.acknowledged} trades, {self._scene.receiver.events} events"
            )
        faults.stop()
        memory.stop()
        self._faults += faults.happened
        self._lives.append(memory.samples)
        text = self._scene.service.get("/metrics").text
        self._unsure += sum(map(float, re.findall(r"^outlet_events_unsure_total\{.*\} (\S+)$", text, re.MULTILINE)))

    def _judged(self) -> list[str]:
        wrong = [problem for client in self._clients for problem in client.wrong]
        code = self._scene.stop()
        if code:
            wrong.append(f"the service ended with {code}")
        for service in self._scene.runs:
            before, found, after = service.process.output.partition("Traceback")
            if found:
                wrong.append(f"traceback: {before[-500:]}{found}{after[:2000]}")
        if self._scene.receiver.again > self._unsure:
            wrong.append(f"{self._scene.receiver.again} events arrived twice, {self._unsure:g} of them with a reason")
        wrong += self._lost()
        for number, life in enumerate(self._lives, 1):
            if life[-1].at > LEAST_SECONDS and _hourly(life) > MOST_GROWTH:
                wrong.append(f"memory grew by {100 * _hourly(life):.1f} % an hour in life {number}")
        return wrong

    def _lost(self) -> list[str]:
        """Compare the acknowledged trades with the store and the archive together, and these with each other."""
        sent = self._sender.acknowledged
        # VENUE is a constant, so no outside text is in the query.
        query = f"SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM trades WHERE venue = '{VENUE}'"  # noqa: S608
        counted = self._command("sql", query, "--format", "csv", "--timeout", "300")
        wrong = (
            [] if f"{sent},{sent}" in counted else [f"{sent} trades acknowledged, but stored (rows, ids): {counted}"]
        )
        verified = self._command("archive", "verify")
        return wrong + ([] if "ended with" not in verified else [f"archive verify: {verified[-1500:]}"])

    def _command(self, *words: str) -> str:
        environment = environment_of(self._folder, self._scene.settings)
        done = run_command(*words, environment=environment)
        return done.stdout + (f"{done.stderr} ended with {done.returncode}" if done.returncode else "")


def _hourly(life: list[Sample]) -> float:
    """Return the growth of service and children in the second half of a life, as share of their memory in an hour."""
    half = life[len(life) // 2 :]
    sizes = [(one.at, float(one.main + one.children)) for one in half]
    return 3600 * growth(sizes) / median(size for _, size in sizes)


def say(text: str) -> None:
    """Write a line for whoever watches the soak."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
