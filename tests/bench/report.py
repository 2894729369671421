"""Figures as a table on the terminal and as JSON, each with what it should be where that is said."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One figure: of what, how much, and the bound it is held against (`>=` or `<=` a number)."""

    of: str
    value: float
    unit: str = ""
    bound: str = ""

    @property
    def verdict(self) -> str:
        """Whether the bound is held; nothing where there is none."""
        if not self.bound:
            return ""
        sign, _, number = self.bound.partition(" ")
        held = self.value >= float(number) if sign == ">=" else self.value <= float(number)
        return "held" if held else "MISSED"


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over rounds of ours / theirs: what slows a round down slows both."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def machine() -> str:
    """Describe what this ran on; figures without it say little."""
    model = next((line for line in _cpu_lines() if line.startswith("model name")), ": unknown processor")
    return f"{os.cpu_count()} cores, {model.partition(':')[2].strip()}, {platform.machine()}, Python " + (
        platform.python_version()
    )


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def table(name: str, figures: Sequence[Figure]) -> str:
    """Lay the figures out for people."""
    lines = [f"{name}"]
    for one in figures:
        amount = f"{one.value:,.3g}" if abs(one.value) < 100 else f"{one.value:,.0f}"  # three digits
        lines.append(f"  {one.of:62} {amount:>10} {one.unit:10} {one.bound:10} {one.verdict}".rstrip())
    return "\n".join(lines)


def save(path: Path, name: str, figures: Sequence[Figure]) -> None:
    """Put the figures of one bench into the file beside those of the others."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    held[name] = {
        "machine": machine(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": [msgspec.to_builtins(one) | {"verdict": one.verdict} for one in figures],
    }
    path.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
