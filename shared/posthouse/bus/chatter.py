"""What the AMQP library logs of a lost connection by itself, and often with a traceback.

The same is said by our own lines (`posthouse.bus.line`), once for each outage and with its reason;
so these are left out. Everything else the library says is heard.
"""

from __future__ import annotations

import logging

_SAID_BY_US = (
    "error when creating transport",
    "Unexpected connection close from remote",
    "Cancelling cause reader exited abnormally",
    "It looks like you are going to send a frame",
    "Server connection %r was stuck",
    "Connection %r was blocked",
    "Connection %r was unblocked",
)


def hush() -> None:
    """Leave those lines out, in the whole process; harmless if done before."""
    for name in ("aiormq.connection", "aiormq.abc"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_SAID_BY_US)
