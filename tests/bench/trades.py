"""The trade stream: throughput, latency, posts, reads, memory, and what each stage costs.

    ./test.sh bench trades            # about 15 minutes
    ./test.sh bench trades --quick    # about 3 minutes; memory at a twentieth of the rate, without a bound

The parts and what they mean are in the modules `trade_*`.
"""

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


def run(lengths: Lengths = FULL) -> list[Figure]:
    """Measure all parts."""
    throughput, highest = trade_load.throughput(lengths.throughput, lengths.burst)
    return [
        *throughput,
        *trade_load.latency(lengths.latency, highest),
        *trade_reads.posts(lengths.rounds, lengths.round_seconds),
        *trade_outbox.run(lengths.rounds, lengths.outbox_trades),
        *trade_reads.reads(lengths.rounds, lengths.round_seconds),
        *trade_load.memory(lengths.memory_rate),
        *trade_stages.run(lengths.stage_trades),
        *trade_writes.run(lengths.write_trades),
    ]
