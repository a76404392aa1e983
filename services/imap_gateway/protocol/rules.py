"""What a rule of the grammar is: it takes what is behind a command's name and returns its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from imap_gateway.protocol.commands import Command
from imap_gateway.protocol.cursor import Cursor

Rule: TypeAlias = Callable[[Cursor], Command]


def bare(value: Command) -> Rule:
    """The command is its name alone."""
    return lambda _cursor: value
