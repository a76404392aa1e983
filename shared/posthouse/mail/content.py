"""Content: what ingress asks policy of a whole message before it takes it, and what it answers.

Asked like the questions of `posthouse.mail.admission`. What was found is kept with the message in
the ledger, for whoever asks later why it went where it went.
"""

from __future__ import annotations

from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from posthouse.mail.status import OK, Status

Action: TypeAlias = Literal["accept", "tag", "quarantine", "reject", "tempfail", "discard"]
MAX_RULES = 100  # kept with a message; those that weigh most


class BodyDigest(msgspec.Struct, frozen=True):
    """The hash of a whole body in one form (RFC 6376 §3.4).

    Attributes:
        canon: ``simple`` or ``relaxed``.
        octets: SHA-256.
        size: Octets of the body in that form.
    """

    canon: Literal["simple", "relaxed"]
    octets: bytes
    size: int


class ContentQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="content", omit_defaults=True):
    """What becomes of this message?

    Attributes:
        id: The message's.
        hostname: Whose name stands in our fields on top of it.
        client: The client's IP address.
        hello: What it called itself.
        is_relay: The client is no sender's server but one that takes mail for us: it came by LMTP.
        auth: The account that authenticated; empty for a stranger.
        sender: The reverse path; empty for the null path.
        recipients: The forward paths.
        size: Octets of the whole message.
        octets: The message as it is to be stored; of a large one all of its header and the
            beginning of its body.
        digests: The hashes of the body, where ``octets`` are not all of it.
        blob: Where all of it can be read in object storage; empty: nowhere yet.
        is_probe: There is no message: it is only asked whether anything is judged of mail like it.
    """

    id: UUID
    hostname: str
    client: str
    hello: str = ""
    is_relay: bool = False
    auth: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    size: int
    octets: bytes
    digests: tuple[BodyDigest, ...] = ()
    blob: str = ""
    is_probe: bool = False


class ContentVerdict(
    msgspec.Struct, frozen=True, kw_only=True, tag="content-verdict", omit_defaults=True
):
    """The answer.

    Attributes:
        action: What is done.
        code: Of a refusal, for the client (RFC 5321 §4.2).
        enhanced: Its enhanced status code (RFC 3463).
        text: Its public text: no host, path or setting of ours.
        score: The sum of the scores.
        rules: What was found, with its scores.
        decided_by: The rules that asked for the action; empty where the sum did.
        header: The header as it is to be stored, with the empty line at its end; empty: as it is.
        hold: Why it is taken and waits for an operator; empty if it does not.
        wants_all: Nothing is decided: the whole message has to be readable first, ask again with
            ``blob``.
        rest_seconds: Nothing is judged of mail like this: do not ask for so long.
    """

    action: Action = "accept"
    code: int = OK.code
    enhanced: tuple[int, int, int] = OK.enhanced
    text: str = ""
    score: float = 0.0
    rules: tuple[tuple[str, float], ...] = ()
    decided_by: tuple[str, ...] = ()
    header: bytes = b""
    hold: str = ""
    wants_all: bool = False
    rest_seconds: float = 0.0

    @property
    def refuses(self) -> bool:
        """True if the client keeps the message."""
        return self.action in {"reject", "tempfail"}

    @property
    def status(self) -> Status:
        """Code and enhanced code as one value."""
        return Status(self.code, self.enhanced)

    @property
    def rule(self) -> str:
        """The rule that decided, ``score`` where the sum did: for logs, metrics and discards."""
        return self.decided_by[0] if self.decided_by else "score"

    @property
    def record(self) -> str:
        """What is kept with the message, in JSON; empty if nothing was judged."""
        if not self.rules and not self.hold and self.action == "accept":
            return ""
        # PostgreSQL keeps no NUL, and one would keep all back that is accepted at the same moment.
        return msgspec.json.encode(self.kept).decode().replace("\\u0000", "\\ufffd")

    @property
    def kept(self) -> Kept:
        """What is kept with the message."""
        heaviest = sorted(self.rules, key=lambda each: -abs(each[1]))[:MAX_RULES]
        return Kept(
            action=self.action,
            score=self.score,
            by=self.decided_by,
            rules=tuple(heaviest),
            text=self.text,
            enhanced=self.enhanced,
            hold=self.hold,
        )


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the ledger keeps of a verdict; see there."""

    action: Action
    score: float = 0.0
    by: tuple[str, ...] = ()
    rules: tuple[tuple[str, float], ...] = ()
    text: str = ""
    enhanced: tuple[int, int, int] = OK.enhanced
    hold: str = ""
