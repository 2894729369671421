"""`stdout://`: each event as a line of JSON on the standard output, to look at events and for pipes."""

import asyncio
import sys
from collections.abc import Sequence

from aggregator.outlets.address import Form, OutletAddress
from aggregator.outlets.definition import OutletKind, OutletParts
from aggregator.outlets.ports import DELIVERED, Answer, OutletAway, OutletEvent


class Stdout:
    """`aggregator.outlets.ports.Outlet` of the standard output. A line is `{"topic":…,"asset":…,"event":{…}}`."""

    most_events = 500
    most_bytes = 1 << 20
    lanes = 1
    is_atomic = True

    async def open(self) -> None:
        """Do nothing."""

    async def send(self, events: Sequence[OutletEvent]) -> Sequence[Answer]:
        """Write the lines in a thread: the reader of a pipe may be slow."""
        lines = b"".join(map(_line, events))
        try:
            await asyncio.to_thread(_write, lines)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise OutletAway(f"standard output: {error}", is_unsure=True) from error
        return [DELIVERED] * len(events)

    async def close(self) -> None:
        """Do nothing."""


def _line(event: OutletEvent) -> bytes:
    head = f'{{"topic":"{event.topic}","asset":"{event.asset}","event":'.encode()
    return head + event.body + b"}\n"


def _write(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def _check(address: OutletAddress) -> None:
    if address.place:
        raise ValueError("stdout:// takes no address")


def _create(_: OutletAddress, __: OutletParts) -> Stdout:
    return Stdout()


STDOUT = OutletKind(Form("stdout://"), _check, _create)
