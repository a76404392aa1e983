"""How long things take: each command, and each step from a message's first octet to its 250."""

from __future__ import annotations

import time
from typing import Literal, TypeAlias

from posthouse.telemetry.metrics import histogram

Step: TypeAlias = Literal["receive", "inspect", "judge", "store", "commit"]

_COMMANDS = histogram(
    "posthouse_ingress_command_seconds",
    "From a command to its reply; of AUTH, DATA and BDAT with what the client sends meanwhile.",
    "command",
)
_STEPS = histogram("posthouse_ingress_step_seconds", "Steps of taking a message.", "step")


class Steps:
    """A clock that is read at the end of each step."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.monotonic()

    def done(self, step: Step) -> None:
        """Note that ``step`` has taken the time since the one before."""
        now = time.monotonic()
        _STEPS.labels(step).observe(now - self._since)
        self._since = now


class Answering:
    """Notes how long ``command`` took: ``with Answering(command): ...``."""

    __slots__ = ("_began", "_name")

    def __init__(self, command: object) -> None:
        self._name = type(command).__name__.lower()

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        _COMMANDS.labels(self._name).observe(time.monotonic() - self._began)
