"""The parts of a soak: the service with everything on, exchanges, Redis, a webhook, and the faults of the parts."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

from mock_exchange.trades import TRADES_PER_SECOND
from tests.parts.exchanges import NAMES, Market, MockExchange
from tests.parts.ports import lasting_port
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.soak.clients import Receiver

Fault = Callable[[], AbstractContextManager[None]]
LIES: dict[str, dict[str, object]] = {
    "three times the price": {"price_factor": 3},
    "errors": {"error_rate": 1},
    "hanging": {"hang_rate": 1},
    "clock frozen": {"freeze_clock": True},
    "a burst of trades": {"trade_rate": 5},
    "late, doubled and broken trades": {"trade_late": 0.2, "trade_duplicates": 0.2, "trade_garbage": 0.2},
}


class Scene:
    """The running parts. `tenfold` is the factor of all normal rates."""

    def __init__(self, folder: Path, tenfold: float) -> None:
        self._folder = folder
        rate = TRADES_PER_SECOND * tenfold
        self.market = Market([MockExchange(name, trades_per_second=rate) for name in NAMES])
        self.redis = RedisServer(lasting_port())
        self.receiver = Receiver()
        self.settings: dict[str, object] = {
            "exchanges": self.market.pushed_setting,
            "cache_url": self.redis.url,
            "archive_url": f"file://{folder}/lake",
            "archive_flush": 60,
            "news": "mock",
            "anomalies": "true",
            "strategy": True,
            "strategy_drop": 1,
            "strategy_gain": 1,
            "outlets": f"{self.receiver.url}?topics=prices,anomalies,signals,sentiment,alerts&tier=hot",
            "outlets_allow_private": True,
            "hot_interval": 5 / tenfold,
            "medium_interval": 30 / tenfold,
            "cold_interval": 300 / tenfold,
            "refresh_cooldown": 0,
        }
        self.runs: list[Service] = []
        self.start()

    @property
    def service(self) -> Service:
        """The last start of the service."""
        return self.runs[-1]

    def start(self) -> None:
        """Start the service on the files of the start before."""
        self.runs.append(Service(self._folder, **self.settings))
        self.service.started()

    def kill(self) -> None:
        """Kill the service with SIGKILL."""
        self.service.process.stop(SIGKILL)

    def stop(self) -> int:
        """Stop the service as an operator does, and all parts; return the exit code of the service."""
        code = self.service.process.stop()
        for exchange in self.market.exchanges.values():
            exchange.stop()
        self.redis.stop()
        self.receiver.stop()
        return code

    def faults(self) -> dict[str, Fault]:
        """Return a context manager for each kind of fault that keeps it active."""
        found: dict[str, Fault] = {
            f"{name}: {what}": self._lying(name, faults) for name in NAMES for what, faults in LIES.items()
        }
        found |= {f"{file} locked": self._locked(file) for file in ("prices.db", "trades.db", "events.db")}
        found |= {
            "Redis killed": self._redis_killed,
            "Redis paused": self._redis_paused,
            "service paused": self._service_paused,
            "webhook answers 500": self._webhook(500),
            "webhook answers 429": self._webhook(429),
            "webhook hangs": self._webhook(0),
        }
        return found

    def _lying(self, exchange: str, faults: dict[str, object]) -> Fault:
        @contextmanager
        def active() -> Iterator[None]:
            self.market.exchanges[exchange].faults(**faults)
            yield
            self.market.exchanges[exchange].faults()

        return active

    def _locked(self, file: str) -> Fault:
        @contextmanager
        def active() -> Iterator[None]:
            with closing(sqlite3.connect(self._folder / file, timeout=10, isolation_level=None)) as held:
                held.execute("BEGIN IMMEDIATE")
                yield
                held.execute("ROLLBACK")

        return active

    @contextmanager
    def _redis_killed(self) -> Iterator[None]:
        self.redis.process.stop(SIGKILL)
        yield
        self.redis = RedisServer(self.redis.port)

    @contextmanager
    def _redis_paused(self) -> Iterator[None]:
        self.redis.process.signal(SIGSTOP)
        yield
        self.redis.process.signal(SIGCONT)

    @contextmanager
    def _service_paused(self) -> Iterator[None]:
        process = self.service.process
        process.signal(SIGSTOP)
        yield
        process.signal(SIGCONT)

    def _webhook(self, status: int) -> Fault:
        @contextmanager
        def active() -> Iterator[None]:
            self.receiver.fault = status
            yield
            self.receiver.fault = None

        return active


class Faults:
    """Puts one fault after the other, in random order from a seed, until it is stopped."""

    def __init__(self, scene: Scene, seed: int, rest: float, lasts: float) -> None:
        self.happened: list[str] = []
        self.errors: list[Exception] = []
        self._faults = scene.faults()
        self._choice = random.Random(seed)
        self._rest, self._lasts = rest, lasts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End the current fault, and begin no other. Raises the error of a fault that could not be made."""
        self._stop.set()
        self._thread.join()
        if self.errors:
            raise self.errors[0]

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._choice.uniform(0.5, 1.5) * self._rest):
                name = self._choice.choice(list(self._faults))
                with self._faults[name]():
                    self._stop.wait(self._choice.uniform(0.2, 1) * self._lasts)
                self.happened.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {name}")
        except Exception as error:  # noqa: BLE001 - raised again by stop(), in the thread that reports
            self.errors.append(error)
