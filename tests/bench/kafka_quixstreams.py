"""A peer for comparison: quixstreams keeps one mean of 60 s of each asset, of the trades of a topic, and nothing else.

`.venv-quixstreams/bin/python tests/bench/kafka_quixstreams.py <bootstrap> <topic> <trades> <folder>` prints seconds and
CPU seconds of all threads, from the first record to the last. `./test.sh bench` makes that environment.
"""

import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Mean
from quixstreams.models.serializers import BytesDeserializer

sys.path.insert(0, str(Path(__file__).parents[2]))

from aggregator.trades.market_pb2 import MarketUpdate

_WINDOW = timedelta(seconds=60)
_PATIENCE_MS = 600_000  # a bench on a busy machine must not lose its partitions
_COMMIT_SECONDS = 3600.0  # no commits, as the bare loop


class _Updates(BytesDeserializer):  # type: ignore[misc]  # its base has no types here
    """Decodes a value; the dictionary is what windows need."""

    def __call__(self, value: bytes, ctx: Any) -> dict[str, Any]:  # noqa: ARG002  # the base's signature
        update = MarketUpdate.FromString(value)
        return {"price": update.price, "at": update.timestamp_ns}


def _milliseconds(value: Any, *_: Any) -> int:
    return int(value["at"]) // 1_000_000


def main(bootstrap: str, topic: str, trades: str, folder: str) -> None:
    """Process so many trades."""
    application = Application(
        broker_address=bootstrap,
        consumer_group=uuid.uuid4().hex,
        auto_offset_reset="earliest",
        commit_interval=_COMMIT_SECONDS,
        consumer_extra_config={
            "fetch.queue.backoff.ms": 5,
            "session.timeout.ms": _PATIENCE_MS,
            "max.poll.interval.ms": _PATIENCE_MS,
        },
        state_dir=folder,
        use_changelog_topics=False,
        loglevel="WARNING",
    )
    updates = application.topic(topic, value_deserializer=_Updates(), timestamp_extractor=_milliseconds)
    means = application.dataframe(updates).tumbling_window(_WINDOW).agg(mean=Mean("price")).current()
    done, started, cpu = 0, 0.0, 0.0

    def count(_: Any) -> None:
        nonlocal done, started, cpu
        if not done:
            started, cpu = time.perf_counter(), time.process_time()
        done += 1
        if done == int(trades):
            sys.stdout.write(f"took {time.perf_counter() - started:.6f} {time.process_time() - cpu:.6f}\n")
            sys.stdout.flush()

    means.update(count)
    application.run(count=int(trades), collect=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
