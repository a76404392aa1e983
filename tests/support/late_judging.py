"""A scanner of accounts' mail and one who signs it, for what is judged at routing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from policy_engine.content.bench import Bench, Marks
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Pipeline
from policy_engine.content.verdict import Levels
from posthouse.mail.envelope import Inbound
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import object_key
from support.routing import Post

ANNA, BERT = "anna@example.test", "bert@example.test"
LETTER = b"Subject: hi\r\n\r\nbody\r\n"


@dataclass
class Scanner:
    """A check of accounts' mail that says what it is told, or is away."""

    action: Action | None = None
    name: str = "scanner"
    if_away: Action | None = "tempfail"
    wants_all: bool = True
    of_ours: bool = True
    of_strangers: bool = True
    is_away: bool = False
    seen: list[Case] = field(default_factory=list)
    bench: Bench = field(init=False)

    async def __call__(self, case: Case) -> Sequence[Finding]:
        self.seen.append(case)
        if self.is_away:
            raise Unavailable("scanner is away")
        return [Finding(rule="SCANNED", score=1.5, action=self.action, text="Not like this")]


class Seal:
    """Signs what it sees, each time in other words."""

    of_ours, of_strangers = True, False

    def __init__(self) -> None:
        self.sealed: list[bytes] = []

    async def __call__(self, case: Case, header: bytes) -> bytes:
        digest = case.digests["simple"].octets if case.digests else sha256(case.body).digest()
        self.sealed.append(header)
        return b"X-Seal: %d %s\r\n" % (len(self.sealed), digest.hex().encode())


async def never(_client: str, _sender: str) -> bool:
    return False


async def unjudged(
    post: Post, *recipients: str, sender: str = ANNA, octets: bytes = LETTER
) -> Inbound:
    mail = await post.accepted(*recipients, sender=sender, auth=ANNA, unjudged=True, octets=octets)
    assert mail.unjudged
    return mail


async def stored_of(post: Post, mail: Inbound) -> bytes:
    """Return the object that all stations read."""
    return await post.blobs.get(object_key(mail.id))


def judged_by(post: Post) -> Scanner:
    """Return the scanner that judges what comes to ``post`` unjudged."""
    found = Scanner()
    pipeline = Pipeline(None, [found], Levels(), timedelta(seconds=30))
    found.bench = Bench(pipeline, [Seal()], never, Marks(), 10)
    post.judge_late(found.bench)
    return found
