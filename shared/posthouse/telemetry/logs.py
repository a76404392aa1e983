"""Logs are facts: one JSON object per line on standard output.

``event`` is a constant phrase in past tense, what varies stands in fields. Context is bound once
with `about` and follows tasks. Bodies, passwords and AUTH lines never reach this room.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

_LEVELS: Mapping[str, int] = logging.getLevelNamesMapping()
_context: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))


def configure(service: str, level: str = "INFO") -> None:
    """Send what this process logs, libraries included, to standard output as JSON lines.

    Args:
        service: Name of the service; stands in every line.
        level: The lowest level that is written, by its name ("DEBUG", "INFO", ...).
    """
    structlog.configure(
        processors=[
            with_context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _named(service),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=False,
    )
    _Logger.bound = structlog.get_logger().bind()
    library = logging.getLogger()
    library.handlers[:] = [_LibraryHandler()]
    library.setLevel(max(_LEVELS[level.upper()], logging.WARNING))


def get_logger() -> FilteringBoundLogger:
    """Return a logger; it takes what `configure` has set, also when that comes later."""
    return cast(FilteringBoundLogger, _Logger())


class _Logger:
    """Hands on to what `configure` has bound; structlog's own proxy would bind for each line."""

    bound = structlog.get_logger()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the bound one has
        return getattr(_Logger.bound, name)


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Put ``fields`` into every line logged inside, also by the tasks that start inside."""
    before = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(before)


def with_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put what `about` has bound into a line; its own fields go first."""
    return {**_context.get(), **event}


class _LibraryHandler(logging.Handler):
    """Carries what libraries log through `logging` into the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().log(
            record.levelno,
            "library spoke",
            library=record.name,
            text=record.getMessage(),
            exc_info=exc_info,
        )


def _named(service: str) -> structlog.typing.Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add


def _to_json(event: object, **_options: Any) -> bytes:  # noqa: ANN401 - structlog's own signature
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
