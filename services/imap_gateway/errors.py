"""How a command can end badly (RFC 3501 §7.1)."""

from __future__ import annotations


class Refusal(Exception):
    """The command is not carried out: tagged NO.

    Attributes:
        text: For people.
        code: The response code without brackets, or empty.
    """

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Misuse(Exception):
    """The command makes no sense here: tagged BAD; its text is for people.

    Attributes:
        code: The response code without brackets, or empty.
    """

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.code = code


class Farewell(Exception):
    """The session must end: untagged BYE; its text is for people."""


class ConnectionLost(Exception):
    """The client is gone; nothing can be said any more."""
