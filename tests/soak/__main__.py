"""Hours of everything at once: `python -m tests.soak [HOURS] [--seed N]`, or `./test.sh soak [HOURS]`.

The service runs with trades, anomalies, paper trading, news, alerts, an archive and an outlet at ten times the normal
rates, with a fault every few minutes, and is killed once in the middle. Afterwards every acknowledged trade must be
stored once and be in the archive, no price went back, no answer was a 500, nothing wrote a traceback, no event arrived
twice at the webhook without need, and memory does not grow.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.parts.process import end_all
from tests.soak.run import Soak, say


def main() -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(prog="./test.sh soak", description="Run everything at once for hours.")
    parser.add_argument("hours", type=float, nargs="?", default=6.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--tenfold", type=float, default=10.0, help="factor of the normal rates (10)")
    options = parser.parse_args()
    say(f"soak of {options.hours:g} hours, seed {options.seed}")
    try:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            soak = Soak(Path(folder), options.hours * 3600, options.seed, options.tenfold)
            wrong = soak.run()
            say(soak.report())
    finally:
        end_all()
    for one in wrong:
        say(f"WRONG: {one}")
    say("nothing is wrong" if not wrong else f"{len(wrong)} promises broken")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
