"""Logging to stderr: structlog through the standard library, so that the lines of all libraries have one format."""

import logging
import os
import sys
from typing import Any, Literal

import structlog


class _Stderr(logging.StreamHandler[Any]):
    """Writes to the current sys.stderr, which a progress bar replaces while it is on the screen."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(form: Literal["console", "json"], level: str, role: str = "") -> None:
    """Set up the process's logging, with times in UTC. With a `role`, each line has the role and the process's id."""
    process = {"pid": os.getpid(), "role": role} if role else {}
    shared: list[structlog.typing.Processor] = [
        lambda _, __, event: {**process, **event},
        structlog.contextvars.merge_contextvars,  # adds the id of the request that is being served
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            _on_one_line,
            # A plain traceback: the rich one shows local variables, which may hold secrets.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("aggregator").setLevel(level.upper())
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),  # lines below `level` cost next to nothing
        logger_factory=lambda *_: logging.getLogger("aggregator"),
        cache_logger_on_first_use=True,
    )


def _on_one_line(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape line breaks and control characters, so that no value can forge a log line; JSON does so by itself.

    Tracebacks are rendered later and keep their line breaks.
    """
    return {
        name: value.encode("unicode_escape").decode() if isinstance(value, str) and not value.isprintable() else value
        for name, value in event.items()
    }
