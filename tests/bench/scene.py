"""The real parts of a bench: exchanges, Redis, DynamoDB Local, the service, and the reference servers."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import NAMES, Market, MockExchange
from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service, call

CONNECTIONS = 64
FILL_SECONDS = 900.0  # time limit for 100,000 assets at one symbol per call on a loaded machine, in seconds


class Peak:
    """wrk's result: requests per second, 99th percentile in ms, and the number of answers other than 2xx and 3xx."""

    def __init__(self, said: str) -> None:
        self.rate = float(_found(r"Requests/sec:\s+([\d.]+)", said))
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", said).groups()  # type: ignore[union-attr]  # wrk always prints it
        self.p99_ms = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        self.errors = int(errors[1]) if errors else 0


def wrk(url: str, seconds: float, connections: int = CONNECTIONS, script: Path | None = None) -> Peak:
    """Send requests as fast as answers come, from one thread; a script in Lua makes other requests than GET."""
    program = shutil.which("wrk")
    assert program, "wrk is needed: apt install wrk"
    command = [program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--latency"]
    command += [url] if script is None else ["-s", str(script), url]
    return Peak(subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout)


class Usage:
    """The resources that a service used between two moments."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before = self._now()

    def _now(self) -> tuple[float, float, float]:
        metrics = metrics_of(self._service)
        refreshed = sum(value for name, value in metrics.items() if name.startswith("price_refresh_total{"))
        return time.monotonic(), metrics["process_cpu_seconds_total"], refreshed

    def since(self) -> tuple[float, float, float]:
        """Return elapsed seconds, CPU seconds, and refreshed prices."""
        now = self._now()
        return now[0] - self._before[0], now[1] - self._before[1], now[2] - self._before[2]


def metrics_of(service: Service) -> Mapping[str, float]:
    """Return all series by their name in the text format."""
    lines = service.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


class Scene:
    """Opens parts and closes them all at the end."""

    def __init__(self, stack: ExitStack, folder: Path, dynamodb: DynamoServer | None) -> None:
        self._stack = stack
        self.folder = folder
        self._dynamodb = dynamodb

    @property
    def dynamodb(self) -> DynamoServer:
        """A DynamoDB: the one that was given, else one with both compilers of Java, started at the first use."""
        if self._dynamodb is None:
            self._dynamodb = DynamoServer(lasts=True)
            self._stack.callback(self._dynamodb.stop)
        return self._dynamodb

    def closing(self, close: Callable[[], object]) -> None:
        """Call this function at the end."""
        self._stack.callback(close)

    def redis(self) -> RedisServer:
        """Start a Redis."""
        server = RedisServer()
        self._stack.callback(server.stop)
        return server

    def market(self, symbols: Path = ROOT / "symbols.csv") -> Market:
        """Start three exchanges that list these symbols."""
        exchanges = [MockExchange(name, symbols=symbols) for name in NAMES]
        for exchange in exchanges:
            self._stack.callback(exchange.stop)
        return Market(exchanges)

    def service(self, market: Market, redis: RedisServer, last_tier: str = "cold", **settings: object) -> Service:
        """Start the service on Redis and a new table, and wait until all assets have a price.

        A `history_url` among the settings is another history: DynamoDB is then not started.
        """
        folder = self.folder / str(uuid.uuid4())
        folder.mkdir()
        if "history_url" not in settings:
            settings["history_url"] = self.dynamodb.url(f"bench-{uuid.uuid4()}")
        service = Service(folder, exchanges=market.setting, **({"cache_url": redis.url} | settings))
        self._stack.callback(service.process.stop)
        service.started()
        service.process.wait_for_line(f"tier_filled.*tier={last_tier}", FILL_SECONDS)
        return service

    def reference(self, name: str, **environment: str) -> str:
        """Start a reference server on uvicorn with our server settings; return its address."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", f"tests.bench.references:{name}", "--port", str(port)]
        command += ["--http", "httptools", "--loop", "uvloop", "--lifespan", "off", "--log-level", "warning"]
        command += ["--no-access-log", "--no-proxy-headers", "--no-server-header"]
        if name not in ("bare", "read_body"):
            command.append("--factory")
        process = Process(command, environment=os.environ | environment)
        self._stack.callback(process.stop)
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(url), what=f"{name} to answer")
        return url


@contextmanager
def scene(dynamodb: DynamoServer | None = None) -> Iterator[Scene]:
    """Open a scene with a temporary folder, on this DynamoDB or on one of its own."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield Scene(stack, Path(folder), dynamodb)


def _answers(url: str) -> bool:
    try:
        call("GET", f"{url}/prices/btcusdt")
    except OSError:
        return False
    return True


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]
