"""`python -m aggregator` and the command `aggregator`: starts the command line in `cli/main.py`."""

import gc
import sys


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    # Nothing that the imports make is ever garbage. Collections that look at it would take a quarter of the start.
    gc.disable()
    from aggregator.cli import main as command_line  # noqa: PLC0415  # not before collections are off

    gc.freeze()
    gc.enable()
    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
