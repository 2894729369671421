"""Three mock exchanges as real processes, with one common market."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mock_exchange.feed import PUSH_MS
from mock_exchange.trades import TRADES_PER_SECOND
from tests.parts.process import ROOT, Process
from tests.parts.service import call

NAMES = ("exchange1", "exchange2", "exchange3")


class MockExchange:
    """One running mock exchange. It makes no trades unless asked to: they take a hundredth of a core all the time."""

    def __init__(
        self,
        name: str,
        port: int = 0,
        symbols: Path = ROOT / "symbols.csv",
        push_ms: int = PUSH_MS,
        trades_per_second: float = 0,
    ) -> None:
        self.name = name
        options = ["--name", name, "--port", str(port), "--symbols", str(symbols), "--push-ms", str(push_ms)]
        options += ["--trades-per-second", str(trades_per_second)]
        self.process = Process.of_program("mock_exchange", *options)
        self.url = self.process.wait_for_line(r"http://\S+")[0]

    def faults(self, **faults: object) -> None:
        """Switch these faults on and all others off."""
        answer = call("PUT", f"{self.url}/mock/faults", body=json.dumps(faults).encode())
        assert answer.status == 200, answer.text

    def stop(self) -> None:
        """Stop the process."""
        self.process.stop()


class Market:
    """The three exchanges."""

    def __init__(self, exchanges: list[MockExchange]) -> None:
        self.exchanges = {exchange.name: exchange for exchange in exchanges}

    @property
    def setting(self) -> str:
        """The AGGREGATOR_EXCHANGES setting that uses them."""
        return ",".join(f"{name}=mock+{exchange.url}" for name, exchange in self.exchanges.items())

    @property
    def pushed_setting(self) -> str:
        """The same, with the feeds of the exchanges."""
        return ",".join(f"{name}=mock+{exchange.url}+ws" for name, exchange in self.exchanges.items())

    def sound(self) -> None:
        """Switch all faults off."""
        for exchange in self.exchanges.values():
            exchange.faults()


@contextmanager
def market(push_ms: int = PUSH_MS, *, trades: bool = False) -> Iterator[Market]:
    """Run the three exchanges; their feeds push each symbol once in `push_ms` milliseconds, and trades if wanted."""
    with ExitStack() as stack:
        exchanges = []
        for name in NAMES:
            rate = TRADES_PER_SECOND if trades else 0
            exchange = MockExchange(name, push_ms=push_ms, trades_per_second=rate)
            stack.callback(exchange.stop)
            exchanges.append(exchange)
        yield Market(exchanges)
