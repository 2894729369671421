"""Trades of a Kafka topic: throughput, latency, two processors, and the takeover of windows.

    ./test.sh bench kafka             # all parts, about 5 minutes
    ./test.sh bench kafka-throughput  # one part
    ./test.sh bench kafka --quick     # about 2 minutes

The broker is that of KAFKA_BOOTSTRAP, else noida-db, on the same machine. It answers a fetch without new records at
once, so a consumer that has caught up keeps asking: the library's thread then takes half a core.
"""

import re
import statistics
import time
import uuid
from collections.abc import Callable

import msgspec

from aggregator.trades.saved_windows import PACE
from aggregator.trades.topics import FEATURES
from tests.bench.kafka_scene import PARTITIONS, JournalReader, KafkaScene, Run, Subscriber, kafka_scene
from tests.bench.report import Figure, median_ratio
from tests.bench.trade_generator import assets
from tests.bench.trade_scene import percentile
from tests.parts.process import Process, wait_for

_WARM_UP = 2.0  # seconds of load that do not count
_SETTLE = 1.0
_WINDOW = 300.0  # seconds
_SAVES = 3  # the first saves the windows, and the commit of the second names them


class Lengths(msgspec.Struct, frozen=True):
    """How long a run is: trades, rounds, trades/s and seconds of the latency, and trades of the other parts."""

    trades: int = 600_000
    rounds: int = 3
    rate: int = 20_000
    seconds: float = 20.0
    slow_trades: int = 60_000
    window_trades: int = 100_000


FULL = Lengths()
QUICK = Lengths(trades=150_000, rounds=1, rate=5_000, seconds=5, slow_trades=30_000)


def parts(lengths: Lengths) -> dict[str, Callable[[], list[Figure]]]:
    """Return the parts by name."""
    return {
        "kafka-throughput": lambda: throughput(lengths.trades, lengths.rounds),
        "kafka-latency": lambda: latency(lengths.rate, lengths.seconds),
        "kafka-processors": lambda: processors(lengths.slow_trades),
        "kafka-takeover": lambda: takeover(lengths.window_trades),
    }


def throughput(trades: int, rounds: int) -> list[Figure]:
    """Process a topic in turns with the bare loop and with quixstreams, which keeps one mean and stores nothing."""
    bare, ours, processed, stages = list[Run](), list[Run](), list[int](), dict[str, float]()
    peer = list[Run]()
    with kafka_scene() as scene:
        topic = scene.filled(trades)
        for _ in range(rounds):
            bare.append(scene.bare(topic, trades))
            if (run := scene.quixstreams(topic, trades)) is not None:
                peer.append(run)
            processor = scene.processor(topic)
            ours.append(processor.took_after_start(trades))
            processed.append(processor.ingested)
            stages = processor.stages()
            processor.service.process.stop()
    return [
        Figure("bare loop that decodes, keeps two windows and stores", _middle(bare, "rate"), "trades/s"),
        Figure("  its CPU of a trade", _middle(bare, "cpu_us"), "us"),
        Figure("processor, all of it", _middle(ours, "rate"), "trades/s", ">= 70000"),
        Figure("  against the bare loop", median_ratio(_all(ours, "rate"), _all(bare, "rate")), "", ">= 0.65"),
        *_against_quixstreams(ours, peer),
        Figure("  CPU of a trade, all threads", _middle(ours, "cpu_us"), "us", "<= 25"),
        Figure("  of which the library's", _middle(ours, "library_us"), "us"),
        Figure("  trades that were not new, or lost", max(abs(trades - one) for one in processed), "", "<= 0"),
        *[Figure(f"  time of the stage {name}", 1e6 * seconds / trades, "us") for name, seconds in stages.items()],
    ]


def _against_quixstreams(ours: list[Run], peer: list[Run]) -> list[Figure]:
    if not peer:
        return []
    return [
        Figure("  against quixstreams with one mean", median_ratio(_all(ours, "rate"), _all(peer, "rate")), "", ">= 3"),
        Figure("    its rate", _middle(peer, "rate"), "trades/s"),
        Figure("    its CPU of a trade", _middle(peer, "cpu_us"), "us"),
    ]


def latency(rate: int, seconds: float) -> list[Figure]:
    """Measure from the time in each trade to its row in the store, and to its asset's features at a subscriber."""
    with kafka_scene() as scene:
        topic = scene.broker.topic(PARTITIONS)
        processor = scene.processor(topic)
        processor.assigned()
        _produce(scene, topic, rate, _WARM_UP)
        path = processor.folder / "trades.db"
        wait_for(path.exists)
        journal, features = JournalReader(path), Subscriber(scene.redis, "features", keep=True)
        said = _produce(scene, topic, rate, seconds)
        time.sleep(_SETTLE)
        features.stop()
        stored, seen = journal.delays(), _features_delays(features)
    return [
        Figure(f"produced, of {rate} trades/s asked", said, "trades/s"),
        Figure("to the row in the store, p50", 1000 * percentile(stored, 0.5), "ms", "<= 8"),
        Figure("  p99", 1000 * percentile(stored, 0.99), "ms", "<= 40"),
        Figure("to a subscriber of features, p50", 1000 * percentile(seen, 0.5), "ms", "<= 8"),
        Figure("  p99", 1000 * percentile(seen, 0.99), "ms", "<= 40"),
    ]


def processors(trades: int) -> list[Figure]:
    """Process a topic by one and by two processors with an operator that takes 100 us a trade without the CPU."""
    with kafka_scene() as scene:
        rates = []
        for number in (1, 2):
            topic, group = scene.broker.topic(PARTITIONS), str(uuid.uuid4())
            workers = [scene.slow_processor(topic, group) for _ in range(number)]
            wait_for(lambda w=workers: set(map(_partitions, w)) == {PARTITIONS // len(w)})  # type: ignore[misc]  # of this round
            scene.fill(topic, trades, time.time() - _WINDOW, _WINDOW / trades)
            started = time.perf_counter()
            wait_for(lambda t=topic, g=group: scene.broker.behind(t, g) == 0)  # type: ignore[misc]  # of this round
            rates.append(trades / (time.perf_counter() - started))
            for one in workers:
                one.stop()
    return [
        Figure("one processor with a slow operator", rates[0], "trades/s"),
        Figure("two of them", rates[1], "trades/s"),
        Figure("  against one", rates[1] / rates[0], "", ">= 1.8"),
    ]


def takeover(trades: int) -> list[Figure]:
    """Stop a processor whose windows have `trades` in 300 s; measure its successor, to the first trade after them.

    Before the stop a few trades come for some seconds, as in service, so that the windows are saved.
    """
    with kafka_scene() as scene:
        topic, group = scene.broker.topic(PARTITIONS), str(uuid.uuid4())
        scene.fill(topic, trades, time.time() - _WINDOW, _WINDOW / trades)
        first = scene.processor(topic, "files", group)
        first.took(trades)
        for _ in range(_SAVES if trades > PACE.trades * PARTITIONS else 0):
            scene.fill(topic, len(assets()), time.time(), 1e-5)
            time.sleep(PACE.least_seconds + 1)
        wait_for(lambda: scene.broker.behind(topic, group) == 0)
        first.service.process.stop()
        scene.fill(topic, len(assets()), time.time(), 1e-5)
        second = scene.processor(topic, "files", group)
        taken = second.took(len(assets()))
    return [
        Figure("trades in windows of 300 s, of 1,000 assets", trades),
        Figure("from the assignment to all windows, and a trade of each asset", taken.seconds, "s", "<= 3"),
        Figure("  CPU time, all threads", taken.cpu, "s"),
        Figure("  of which the library's, which asks this broker all the time", taken.library, "s"),
    ]


def _produce(scene: KafkaScene, topic: str, rate: int, seconds: float) -> float:
    """Send trades that are stamped as they are sent; return how many a second were delivered."""
    words = ["--log", scene.broker.url(topic, format="protobuf"), "--rate", str(rate), "--seconds", str(seconds)]
    producer = Process.of_program("aggregator", "produce", *words)
    found = producer.wait_for_line(r"\n([\d,]+) a second")
    producer.ended()
    return float(found[1].replace(",", ""))


def _features_delays(subscriber: Subscriber) -> list[float]:
    """Return the seconds from the time of each asset's newest trade until its features came."""
    return [at - one.window_end for at, values in subscriber.messages(FEATURES) for one in values]


def _partitions(worker: Process) -> int:
    """Return how many partitions a slow processor has."""
    return int(([*re.findall(r"partitions: (\d)", worker.output)] or ["0"])[-1])


def _all(runs: list[Run], name: str) -> list[float]:
    return [getattr(one, name) for one in runs]


def _middle(runs: list[Run], name: str) -> float:
    return statistics.median(_all(runs, name))
