"""What a server said, as values (RFC 5321 §4.2). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

MAX_TEXT_CHARACTERS = 1000  # of a reply that we keep
_SERVICE_CLOSING = 421  # RFC 5321 §3.8


class Stage(Enum):
    """How far the conversation came; the value is what the operator reads."""

    SOURCE = "choosing our address"
    CONNECT = "connecting"
    GREETING = "the greeting"
    HELLO = "EHLO"
    TLS = "STARTTLS"
    REQUIRETLS = "REQUIRETLS"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    CONTENT = "sending the message"
    DOT = "the end of the message"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply (RFC 5321 §4.2).

    Attributes:
        code: The three digits.
        text: The text of all its lines, newlines between them.
    """

    code: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.text}"[:MAX_TEXT_CHARACTERS]

    @property
    def is_positive(self) -> bool:
        """2yz."""
        return self.code // 100 == 2  # noqa: PLR2004 - the class digit itself

    @property
    def is_permanent(self) -> bool:
        """5yz."""
        return self.code // 100 == 5  # noqa: PLR2004 - the class digit itself


@dataclass(frozen=True, slots=True)
class Lost:
    """No reply: the connection broke, or time ran out.

    Attributes:
        why: In words, for the ledger and the report.
    """

    why: str

    def __str__(self) -> str:
        return self.why


Answer: TypeAlias = Reply | Lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The answers of one mail transaction, as far as it went.

    Attributes:
        mail: To MAIL FROM.
        recipients: To each RCPT TO, in order; shorter than asked when the connection broke.
        data: To DATA; None when it was not sent.
        content: Where the message's octets broke off, None if they were sent or not begun.
        end: To the final dot; None when it was not sent.
        ends: To the final dot for each recipient that was accepted, in order, where the server
            speaks LMTP (RFC 2033 §4.2); ``end`` is then the one that says least.
        converted: The message went in 7 bits, as which it did not come (RFC 6152 §3).
    """

    mail: Answer
    recipients: tuple[Answer, ...] = ()
    data: Answer | None = None
    content: Lost | None = None
    end: Answer | None = None
    ends: tuple[Answer, ...] = ()
    converted: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server that did not come as far as a message.

    Attributes:
        stage: Where it ended.
        answer: What was said, or why nothing was.
    """

    stage: Stage
    answer: Answer


def is_yes(answer: Answer) -> bool:
    """2yz."""
    return isinstance(answer, Reply) and answer.is_positive


def is_farewell(answer: Answer) -> bool:
    """True if the connection is of no more use after ``answer``: lost, or 421 (RFC 5321 §3.8)."""
    return not isinstance(answer, Reply) or answer.code == _SERVICE_CLOSING
