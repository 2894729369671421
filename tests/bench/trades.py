"""The trade stream: throughput, latency, posts, reads, memory, and what each stage costs.

    ./test.sh bench trades            # all parts, about 15 minutes
    ./test.sh bench trades-latency    # one part
    ./test.sh bench trades --quick    # about 3 minutes; memory at a twentieth of the rate, without a bound

What they measure, and how, is in the modules `trade_*`.
"""

from collections.abc import Callable

import msgspec

from tests.bench import trade_load, trade_outbox, trade_reads, trade_stages, trade_writes
from tests.bench.report import Figure
from tests.bench.trade_scene import RATE


class Lengths(msgspec.Struct, frozen=True):
    """How long a run is: seconds, rounds and seconds of a round, trades, and trades/s of event time."""

    throughput: float = 60.0
    burst: float = 10.0
    latency: float = 30.0
    rounds: int = 5
    round_seconds: float = 6.0
    outbox_trades: int = 5000
    memory_rate: float = RATE
    stage_trades: int = trade_stages.TRADES_IN_ALL
    write_trades: int = trade_writes.TRADES


FULL = Lengths()
QUICK = Lengths(
    throughput=10, burst=3, latency=5, rounds=2, round_seconds=2, outbox_trades=2000, memory_rate=RATE / 20,
    stage_trades=50_000, write_trades=100_000,
)  # fmt: skip


def parts(lengths: Lengths) -> dict[str, Callable[[], list[Figure]]]:
    """Return the parts by name."""
    rounds, seconds = lengths.rounds, lengths.round_seconds
    return {
        "trades-throughput": lambda: trade_load.throughput(lengths.throughput, lengths.burst),
        "trades-latency": lambda: trade_load.latency(lengths.latency),
        "trades-posts": lambda: trade_reads.posts(rounds, seconds),
        "trades-outbox": lambda: trade_outbox.run(rounds, lengths.outbox_trades),
        "trades-reads": lambda: trade_reads.reads(rounds, seconds),
        "trades-memory": lambda: trade_load.memory(lengths.memory_rate),
        "trades-stages": lambda: trade_stages.run(lengths.stage_trades),
        "trades-writes": lambda: trade_writes.run(lengths.write_trades),
    }
