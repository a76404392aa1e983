"""Admission: what ingress asks policy while the SMTP client waits, and what it answers.

These are no envelopes and never travel on a road; `posthouse.bus.ask` carries them. An old station
reads a new question and a new station an old one, because the structs are tagged.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from posthouse.mail.status import OK, Status


class MailQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="mail"):
    """May this client send as this sender?

    Attributes:
        sender: The reverse path; empty for the null path.
        auth: The account that authenticated, empty for a stranger.
        client: The client's IP address.
        helo: What it called itself.
        is_trial: See `RcptQuestion`.
    """

    sender: str
    auth: str = ""
    client: str = ""
    helo: str = ""
    is_trial: bool = False


class RcptQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="rcpt"):
    """May this client send to this recipient?

    Attributes:
        recipient: The forward path, without brackets.
        sender: The reverse path; empty for the null path.
        auth: The account that authenticated, empty for a stranger.
        client: The client's IP address.
        size: What the client declared (RFC 1870), 0 if nothing.
        is_trial: It is only to be explained: nothing is counted, noted or written for it.
        helo: What it called itself.
        is_relay: The client is no sender's server but one that takes mail for us (LMTP).
    """

    recipient: str
    sender: str = ""
    auth: str = ""
    client: str = ""
    size: int = 0
    is_trial: bool = False
    helo: str = ""
    is_relay: bool = False


class AuthorQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="author"):
    """May this account send what these authors are said to have written?

    Attributes:
        authors: The addresses of From, groups included (RFC 5322 §3.6.2).
        sender: The address of Sender; empty if there is none.
        auth: The account that authenticated.
        client: The client's IP address.
    """

    authors: tuple[str, ...]
    sender: str
    auth: str
    client: str = ""


class ListQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="list"):
    """Whom does this address stand for (VRFY, EXPN; RFC 5321 §3.5)?

    Attributes:
        address: Which.
        expand: Name the members of a list, not only the address.
        auth: The account that authenticated, empty for a stranger.
        client: The client's IP address.
    """

    address: str
    expand: bool
    auth: str = ""
    client: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, tag="verdict"):
    """The answer to any question.

    Attributes:
        code: The reply code for the client (RFC 5321 §4.2); 250 accepts.
        enhanced: The enhanced status code (RFC 3463).
        text: The public text: no host, path or setting of ours.
        rule: The name of the rule that decided, for the log and the metrics.
        must_tell: To an `AuthorQuestion`: Sender has to name the account (RFC 6409 §8.1).
        members: To a `ListQuestion`: whom the address stands for.
        is_counted: To a `RcptQuestion`: what is asked counts against a limit, so the same question
            is another one each time.
    """

    code: int = OK.code
    enhanced: tuple[int, int, int] = OK.enhanced
    text: str = "Ok"
    rule: str = ""
    must_tell: bool = False
    members: tuple[str, ...] = ()
    is_counted: bool = False

    @property
    def accepts(self) -> bool:
        """True if the client may go on."""
        return self.code == OK.code

    @property
    def status(self) -> Status:
        """Code and enhanced code as one value."""
        return Status(self.code, self.enhanced)


Question: TypeAlias = MailQuestion | RcptQuestion | AuthorQuestion | ListQuestion
Answer: TypeAlias = Verdict


def accept(rule: str, text: str = "Ok", enhanced: tuple[int, int, int] = (2, 1, 5)) -> Verdict:
    """Return the verdict that lets the client go on, decided by ``rule``."""
    return Verdict(enhanced=enhanced, text=text, rule=rule)


def refuse(status: Status, text: str, rule: str) -> Verdict:
    """Return the verdict that refuses with ``status``, decided by ``rule``."""
    return Verdict(code=status.code, enhanced=status.enhanced, text=text, rule=rule)
