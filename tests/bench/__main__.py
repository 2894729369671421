"""`./test.sh bench [name ...] [--quick]`: performance, as ratios within one run; without names, all benches (an hour).

With `--quick`, a bench that has a short form is run in it; the figures are then less reliable.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    anomalies,
    archive,
    bars,
    history,
    kafka,
    kinesis,
    load,
    outlets,
    page,
    postgres,
    push,
    reads,
    refreshes,
    replicas,
    sql,
    stream,
    trades,
    webhooks,
)
from tests.bench.report import Figure, machine, save, table
from tests.parts import dynamodb

BENCHES: dict[str, Callable[[], list[Figure]]] = {
    "reads": reads.run,
    "refresh": refreshes.thousand,
    "load": load.run,
    "replicas": replicas.run,
    "history": history.run,
    "bars": bars.run,
    "page": page.run,
    "stream": stream.run,
    "push": push.run,
    "kinesis": kinesis.run,
    "anomalies": anomalies.run,
    "archive": archive.run,
    "outlets": outlets.run,
    **kafka.parts(kafka.FULL),
    "postgres": postgres.run,
    "webhooks": webhooks.run,
    "sql": sql.run,
    **trades.parts(trades.FULL),
    "many": lambda: refreshes.hundred_thousand(batched=False),
    "many-batched": lambda: refreshes.hundred_thousand(batched=True),
}
_QUICK_TRADES, _QUICK_KAFKA = trades.parts(trades.QUICK), kafka.parts(kafka.QUICK)
QUICK: dict[str, Callable[[], list[Figure]]] = {
    **_QUICK_TRADES,
    **_QUICK_KAFKA,
    "outlets": lambda: outlets.run(outlets.QUICK),
    "webhooks": lambda: webhooks.run(seconds=3),
}
GROUPS = {"trades": list(_QUICK_TRADES), "kafka": list(_QUICK_KAFKA)}
RESULTS = Path("bench.json")
_QUICK = "--quick"


def main(words: list[str]) -> int:
    """Run the named benches; return 1 when a figure missed its bound, 2 when a name is unknown."""
    names = [name for word in words if word != _QUICK for name in GROUPS.get(word, [word])]
    benches = BENCHES | QUICK if _QUICK in words else BENCHES
    unknown = [name for name in names if name not in benches]
    if unknown:
        sys.stderr.write(f"bench: no {', '.join(unknown)}; there are {', '.join([*benches, *GROUPS])}, and {_QUICK}\n")
        return 2
    if dynamodb.jar() is None:
        sys.stderr.write("bench: DynamoDB Local is needed (npm and Java); moto's speed says nothing\n")
        return 2
    sys.stdout.write(f"on {machine()}\n")
    missed = False
    for name in names or benches:
        figures = benches[name]()
        sys.stdout.write(table(name, figures) + "\n")
        sys.stdout.flush()
        save(RESULTS, name, figures)
        missed = missed or any(one.verdict == "MISSED" for one in figures)
    return 1 if missed else 0


def _end(*_: object) -> None:
    """End with the status of SIGTERM, and close what is open: otherwise, services would be left running."""
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main(sys.argv[1:]))
