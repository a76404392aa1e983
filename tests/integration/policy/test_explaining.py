"""What is explained is what happens: each shape of mail is explained, then sent, and both are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import pytest

from ingress_smtp.replies import OK_RECIPIENT, OK_SENDER
from policy_engine.content.bench import Bench, Marks
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Pipeline
from policy_engine.content.verdict import Levels
from policy_engine.enquiries import Enquiries, Memory, Networks
from policy_engine.explaining import Explainer
from policy_engine.maps.book import Book
from policy_engine.srs import Rewriter
from posthouse.mail.admission import MailQuestion, RcptQuestion
from posthouse.mail.content import ContentQuestion
from posthouse.mail.envelope import Envelope, Local, Remote
from posthouse.mail.explaining import ExplainQuestion, Explanation
from posthouse.mail.ids import new_id
from posthouse.mail.maps import entry_of
from posthouse.storage import directory, ledger
from posthouse.storage.directory.senders import resolve_senders
from posthouse.storage.ledger import Choice
from posthouse.storage.maps import set_entries, shape
from support.routing import RETURNS, Post

pytestmark = pytest.mark.integration

_COUNT = "select count(*) from envelopes where origin = 'smtp'"
ANNA, BERT = "anna@example.test", "bert@example.test"
HOST = "mx.example.test"
# The shape, who sends, to whom, by which account, and the mark that the check below looks at.
SHAPES: tuple[tuple[str, str, tuple[str, ...], str, bytes], ...] = (
    ("a mailbox", "eve@far.test", (ANNA,), "", b"plain"),
    ("a detail", "eve@far.test", ("anna+lists@example.test",), "", b"spam"),
    ("an alias and a stranger", "eve@far.test", ("both@example.test", "x@far.test"), "", b"plain"),
    ("a group with an owner", "eve@far.test", ("team@example.test",), "", b"plain"),
    ("a forward that keeps a copy", "eve@far.test", (BERT,), "", b"plain"),
    ("a catch-all", "eve@far.test", ("any@other.test",), "", b"plain"),
    ("a virtual and a canonical map", "eve@old.test", ("sales@example.test",), "", b"plain"),
    ("a way of one address", "eve@far.test", ("box@example.test",), "", b"plain"),
    ("a submission, with a copy", ANNA, ("x@far.test", "y@near.test"), ANNA, b"plain"),
    ("somebody else's sender", BERT, ("x@far.test",), ANNA, b"plain"),
    ("who moved, and nobody", "eve@far.test", ("gone@example.test", "no@example.test"), "", b""),
    ("a report", "", (BERT,), "", b"plain"),
    ("a virus", "eve@far.test", (ANNA,), "", b"virus"),
    ("what is held", "eve@held.test", ("both@example.test",), "", b"plain"),
)


@dataclass
class _Check:
    """Finds what stands in the Subject."""

    name: str = "check"
    if_away: Action | None = None
    wants_all: bool = False
    of_ours: bool = True
    of_strangers: bool = True

    async def __call__(self, case: Case) -> Sequence[Finding]:
        if case.text_of("Subject") == "virus":
            return [Finding(rule="VIRUS", action="reject", text="Not with this")]
        return [Finding(rule="SPAM", score=7.0 if case.text_of("Subject") == "spam" else 0.5)]


async def _nobody(_client: str, _sender: str) -> bool:
    return False


@pytest.fixture
async def explainer(post: Post) -> Explainer:
    pool = post.pool
    await directory.set_alias(pool, "both@example.test", [ANNA, "x@near.test"])
    await directory.set_alias(pool, "team@example.test", [ANNA, "x@near.test"], BERT)
    await directory.set_forward(pool, BERT, ["home@far.test"], keep_copy=True)
    await directory.set_catch_all(pool, "other.test", ANNA)
    lines = (
        "virtual sales@example.test x@far.test anna@example.test",
        "sender-canonical @old.test @near.test", "transport box@example.test box.test:24",
        "relocated gone@example.test gone@far.test", "sender-bcc anna@example.test copy@far.test",
        "hold-sender @held.test looked-at-first",
    )  # fmt: skip
    await set_entries(pool, [entry_of(kind, key, to) for kind, key, *to in map(str.split, lines)])
    maps = Book(partial(shape, pool)).current
    post.routing = replace(post.routing, maps=maps)
    enquiries = Enquiries(
        memory=Memory(partial(directory.resolve, pool)),
        lent=Memory(partial(directory.lent, pool)),
        networks=Networks(pool, []),
        rewriter=Rewriter(b"0123456789abcdef"),
        returns=RETURNS,
        senders=Memory(partial(resolve_senders, pool)),
        maps=maps,
    )
    pipeline = Pipeline(None, [_Check()], Levels(), timedelta(seconds=30))
    bench = Bench(pipeline, [], _nobody, Marks(prefix="[SPAM]"), 10)
    return Explainer(enquiries=enquiries, bench=bench, routing=post.routing, hostname=HOST)


async def test_each_shape_of_mail_goes_as_it_was_explained(
    post: Post, explainer: Explainer
) -> None:
    sent = 0
    for what, sender, recipients, auth, mark in SHAPES:
        octets = b"From: <%s>\r\nSubject: %s\r\n\r\nbody\r\n" % (sender.encode(), mark)
        question = ExplainQuestion(
            octets=octets, sender=sender, recipients=recipients, client="192.0.2.1", auth=auth
        )

        told = await explainer.answer(question)

        assert await post.pool.fetchval(_COUNT) == sent, what
        replies = await _commands(explainer, question)
        assert [each.reply for each in told.admission] == replies, what
        await _content(explainer, question, told)
        taken = [to for to, reply in zip(recipients, replies[1:], strict=True) if reply[0] == "2"]
        if replies[0].startswith("2") and taken:
            assert (set(_ways(told)), told.hold) == await _went(post, sender, taken, auth), what
            sent += 1
        else:
            assert told.ways == (), what


async def test_it_tells_by_what_it_leads_there(explainer: Explainer) -> None:
    asked = ExplainQuestion(
        octets=b"Subject: x\r\n\r\n",
        sender="eve@far.test",
        recipients=("any@other.test", "team@example.test", "sales@example.test"),
        client="192.0.2.1",
    )

    told = await explainer.answer(asked)

    assert [(way.partition(": ")[0], way.rpartition(", by ")[2]) for way in told.ways] == [
        ("any@other.test", "catch-all for any@other.test"),
        ("team@example.test", "group team@example.test"),
        ("sales@example.test", "virtual sales@example.test"),
    ]


async def _commands(explainer: Explainer, asked: ExplainQuestion) -> list[str]:
    """Return what a real transaction is answered: ingress has words of its own for 250."""
    answer = explainer.enquiries.answer
    said = [await answer(MailQuestion(sender=asked.sender, auth=asked.auth, client=asked.client))]
    for to in asked.recipients:
        question = RcptQuestion(
            recipient=to, sender=asked.sender, auth=asked.auth, client=asked.client
        )
        said.append(await answer(question))
    accepted = [OK_SENDER, *[OK_RECIPIENT] * len(asked.recipients)]
    return [
        str(ok) if each.accepts else f"{each.status} {each.text}"
        for each, ok in zip(said, accepted, strict=True)
    ]


async def _content(explainer: Explainer, asked: ExplainQuestion, told: Explanation) -> None:
    """Ask what a real message would be, and compare."""
    said = await explainer.bench.answer(
        ContentQuestion(
            id=new_id(),
            hostname=HOST,
            client=asked.client,
            auth=asked.auth,
            sender=asked.sender,
            recipients=asked.recipients,
            size=len(asked.octets),
            octets=asked.octets,
        )
    )
    assert (told.action, told.score, told.decided_by) == (said.action, said.score, said.decided_by)
    assert told.reply == (f"{said.status} {said.text}" if said.refuses else "250 2.0.0 Ok")
    assert told.header.encode() == said.header
    found = [(e.rule, e.score) for each in told.checks for e in each.evidence]
    assert tuple(found) == said.rules


async def _went(
    post: Post, sender: str, recipients: Sequence[str], auth: str
) -> tuple[set[str], str]:
    """Send it; return where it went, or would go if it were not held, and why that is."""
    post.sent.clear()
    mail = await post.accepted(*recipients, sender=sender, auth=auth)
    await post.routing.route([mail])
    held = await ledger.list_waiting(post.pool, Choice(ids=(mail.id,), state="held"))
    if held:
        return {each.recipient for each in held}, held[0].reply or ""
    return {way for _, envelope in post.sent for way in _sent(envelope, sender)}, ""


def _sent(envelope: Envelope, sender: str) -> Iterator[str]:
    own = "" if envelope.sender == sender else f", as <{envelope.sender}>"
    if isinstance(envelope, Local):
        for to in envelope.recipients:
            yield f"to the mailbox of {to.address}{f', folder {to.folder}' if to.folder else ''}{own}"
    elif isinstance(envelope, Remote):
        via = f", through {envelope.via}" if envelope.via else ""
        yield from (f"to {to.address} at {envelope.domain}{via}{own}" for to in envelope.recipients)


def _ways(told: Explanation) -> Iterator[str]:
    for way in (way for each in told.ways for way in each.partition(": ")[2].split("; ")):
        if way != "to recipients named already":
            words = way.removeprefix("to ").removeprefix("the mailbox of ").split()
            yield words[0].rstrip(",") if told.hold else way.partition(", by ")[0]
