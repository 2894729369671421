"""Figures as a table for the terminal and as JSON, each with its bound where there is one."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One figure: name, value, and the bound it is compared with (`>=` or `<=` a number)."""

    of: str
    value: float
    unit: str = ""
    bound: str = ""

    @property
    def verdict(self) -> str:
        """Return whether the bound is met; an empty string without a bound."""
        if not self.bound:
            return ""
        sign, _, number = self.bound.partition(" ")
        held = self.value >= float(number) if sign == ">=" else self.value <= float(number)
        return "held" if held else "MISSED"


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of ours / theirs over the rounds: what slows a round down slows both."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def machine() -> str:
    """Describe the machine; figures mean little without it."""
    model = next((line for line in _cpu_lines() if line.startswith("model name")), ": unknown processor")
    return f"{os.cpu_count()} cores, {model.partition(':')[2].strip()}, {platform.machine()}, Python " + (
        platform.python_version()
    )


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def table(name: str, figures: Sequence[Figure]) -> str:
    """Format the figures as a table."""
    lines = [f"{name}"]
    for one in figures:
        amount = f"{one.value:,.3g}" if abs(one.value) < 100 else f"{one.value:,.0f}"  # three significant digits
        lines.append(f"  {one.of:62} {amount:>10} {one.unit:10} {one.bound:10} {one.verdict}".rstrip())
    return "\n".join(lines)


def save(path: Path, name: str, figures: Sequence[Figure]) -> None:
    """Write the figures of one bench to the file, and keep those of other benches."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    held[name] = {
        "machine": machine(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": [msgspec.to_builtins(one) | {"verdict": one.verdict} for one in figures],
    }
    path.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
