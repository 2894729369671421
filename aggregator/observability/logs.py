"""Logging on stderr: structlog through the standard library, so that every library's lines look the same."""

import logging
import os
import sys
from typing import Any, Literal

import structlog


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what sys.stderr is at that moment, so that a progress bar can move out of the way."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(form: Literal["console", "json"], level: str, role: str = "") -> None:
    """Set up the process's logging; times are UTC. With a `role`, each line says it and the id of the process."""
    process = {"pid": os.getpid(), "role": role} if role else {}
    shared: list[structlog.typing.Processor] = [
        lambda _, __, event: {**process, **event},
        structlog.contextvars.merge_contextvars,  # the id of the request on whose way it is said
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            _on_one_line,
            # A plain traceback: the pretty one shows local variables, and with them whatever is secret.
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
        wrapper_class=structlog.make_filtering_bound_logger(level),  # what is not wanted costs next to nothing
        logger_factory=lambda *_: logging.getLogger("aggregator"),
        cache_logger_on_first_use=True,
    )


def _on_one_line(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape what would begin a new line or move the cursor; JSON does by itself. A traceback is what it is."""
    return {
        name: value.encode("unicode_escape").decode() if isinstance(value, str) and not value.isprintable() else value
        for name, value in event.items()
    }
