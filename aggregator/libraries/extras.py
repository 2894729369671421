"""The optional parts of the installation: the extras of pyproject.toml, and how to add one."""

import importlib.util
from collections.abc import Mapping, Sequence

MODULES: Mapping[str, Sequence[str]] = {
    "analytics": ("sklearn",),
    "archive": ("duckdb",),
    "ccxt": ("ccxt",),
    "kafka": ("confluent_kafka",),
    "news": ("feedparser", "vaderSentiment"),
    "otel": ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"),
    "postgres": ("asyncpg",),
}
"""The modules by which an extra is recognised."""


def has_extra(extra: str) -> bool:
    """Whether the libraries of an extra are installed; imports none of them."""
    try:
        return all(importlib.util.find_spec(module) is not None for module in MODULES[extra])
    except ImportError:  # a parent package is missing
        return False


def install(extra: str) -> str:
    """Return the commands that install an extra, in a clone and of a wheel, for an error message."""
    return f"in a clone: .venv/bin/pip install -e '.[{extra}]'; of a wheel: pip install 'FILE.whl[{extra}]'"
