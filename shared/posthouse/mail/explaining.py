"""Explaining: what policy would do with a message, and why, without doing any of it.

Asked of a policy pod like the questions of `posthouse.mail.admission`, so that it tells what the
pod would do.
"""

from __future__ import annotations

import msgspec

from posthouse.mail.content import Action


class ExplainQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="explain"):
    """What would become of this message?

    Attributes:
        octets: All of the message.
        sender: The reverse path; empty for the null path.
        recipients: The forward paths; never empty.
        client: The IP address of who brings it.
        hello: What that one calls itself.
        auth: The account that authenticated; empty for a stranger.
    """

    octets: bytes
    sender: str
    recipients: tuple[str, ...]
    client: str
    hello: str = ""
    auth: str = ""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What MAIL or RCPT would be answered.

    Attributes:
        command: ``MAIL FROM:<...>``, ``RCPT TO:<...>``.
        reply: Codes and text.
        rule: Who decided.
        seconds: How long that took.
    """

    command: str
    reply: str
    rule: str
    seconds: float


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule found; see `policy_engine.content.finding`."""

    rule: str
    score: float
    seen: str = ""
    action: str = ""
    is_shadow: bool = False


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What one check came to.

    Attributes:
        check: Its name.
        seconds: How long it took.
        evidence: What it found.
    """

    check: str
    seconds: float
    evidence: tuple[Evidence, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True, tag="explanation"):
    """The answer.

    Attributes:
        admission: MAIL and each RCPT.
        checks: What was checked of the message.
        action: What would be done with it.
        reply: What the end of DATA would be answered.
        score: The sum of the scores.
        decided_by: The rules that asked for the action; empty where the sum did.
        header: The header as it would be stored, signed if it would be.
        hold: Why it would wait for an operator; empty if it would not.
        ways: Where each recipient that is taken would lead, by what, and who would get a copy.
    """

    admission: tuple[Answered, ...]
    checks: tuple[Checked, ...]
    action: Action
    reply: str
    score: float
    decided_by: tuple[str, ...] = ()
    header: str = ""
    hold: str = ""
    ways: tuple[str, ...] = ()
