"""What becomes of a submission's header, in memory and in the spool alike."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator

import pytest

from support.dialogue import play
from support.ingress import Ingress, running_ingress

HELLO = """
S: 220 …
C: STARTTLS
S: 220 2.0.0 …
C: [starts TLS]
C: EHLO client.test
S* 250 AUTH …
C: AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==
S: 235 2.7.0 …
C: MAIL FROM:<$sender>
S: 250 2.1.0 …
C: RCPT TO:<world@elsewhere.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
"""
ANNA, BOSS = "anna@example.test", "boss@example.test"
OURS = re.compile(
    rb"Received: from client\.test .*?;\r\n\t.*?\r\nAuthentication-Results: .*?\r\n\t.*?\r\n", re.DOTALL
)  # fmt: skip


@pytest.fixture(params=[262_144, 16], ids=["memory", "spool"])
async def ingress(
    request: pytest.FixtureRequest, certificate: ssl.SSLContext
) -> AsyncIterator[Ingress]:
    async with running_ingress(certificate, spool_above=request.param) as running:
        yield running


async def submitted(ingress: Ingress, tls: ssl.SSLContext, octets: str, sender: str = ANNA) -> str:
    """Submit a message and return the first reply behind it."""
    reader, writer = await ingress.connect("submission")
    try:
        await play(HELLO, reader, writer, tls=tls, sender=sender)
        writer.write(octets.replace("\n", "\r\n").encode() + b".\r\n")
        reply = (await reader.readline()).decode()
        await play("C: NOOP\nS: 250 2.0.0 …\nC: QUIT\nS: 221 …", reader, writer)
    finally:
        writer.close()
    return reply


def stored(ingress: Ingress) -> str:
    """Return the only message without our trace fields; dates and ids as ``…``."""
    below = OURS.sub(b"", ingress.cellar.octets, count=1).replace(b"\r\n", b"\n").decode()
    return re.sub(r"(?m)^(Date|Message-ID): .*$", r"\1: …", below)


FULL = (
    "From: Anna <anna>\nTo: bert, x@far.test\nBcc: secret@far.test,\n more@far.test\n"
    "Subject: hi\nReturn-Path: <anna@example.test>\n\nBcc: of the body\n"
)
FULL_AFTER = (
    "From: Anna <anna@example.test>\nTo: bert@example.test, x@far.test\nSubject: hi\n\n"
    "Bcc: of the body\n"
)
OF_BOSS = "From: boss@example.test\nDate: then\nMessage-ID: <x@y.test>\n"
ADDED = "Date: …\nMessage-ID: …\n"
FROM_ANNA = f"{ADDED}From: anna@example.test\n"


@pytest.mark.parametrize(
    ("sender", "before", "after"),
    [
        (ANNA, FULL, ADDED + FULL_AFTER),
        (
            BOSS,
            f"Sender: {BOSS}\n{OF_BOSS}\n",
            f"Sender: {ANNA}\nFrom: {BOSS}\n{ADDED}\n",
        ),
        (
            BOSS,
            "Subject: whose?\n\n",
            f"{ADDED}From: {BOSS}\nSender: {ANNA}\nSubject: whose?\n\n",
        ),
        ("", "Subject: x\n\n", f"{FROM_ANNA}Subject: x\n\n"),
        (ANNA, "no header\n", f"{FROM_ANNA}\nno header\n"),
        (ANNA, "\nbody\n", f"{FROM_ANNA}\nbody\n"),
        (ANNA, "", FROM_ANNA),
    ],
)
async def test_what_lacks_is_added_and_what_must_not_be_told_is_gone(
    ingress: Ingress, tls: ssl.SSLContext, sender: str, before: str, after: str
) -> None:
    reply = await submitted(ingress, tls, before, sender)

    assert reply.startswith("250 ")
    assert stored(ingress) == after


async def test_a_false_author_ends_the_transaction_and_leaves_nothing(
    ingress: Ingress, tls: ssl.SSLContext
) -> None:
    reply = await submitted(ingress, tls, "From: bert@example.test\n\n" + "body\n" * 1000)

    assert reply == "550 5.7.1 From address is not yours\r\n"
    assert not ingress.cellar.mails
    assert not ingress.cellar.objects


async def test_nobody_makes_us_look_up_authors_by_the_thousand(
    ingress: Ingress, tls: ssl.SSLContext
) -> None:
    asked = len(ingress.policy.asked)

    reply = await submitted(ingress, tls, f"From: {', '.join([ANNA] * 1000)}\n\n")

    assert reply == "550 5.7.1 From names too many authors\r\n"
    assert len(ingress.policy.asked) == asked + 2  # MAIL and RCPT


@pytest.mark.parametrize(
    ("author", "reply"),
    [(ANNA, "250 2.0.0"), (BOSS, "250 2.0.0"), ("bert@example.test", "451 4.3.0")],
)
async def test_while_nobody_answers_only_judged_authors_go_through(
    ingress: Ingress, tls: ssl.SSLContext, author: str, reply: str
) -> None:
    ingress.policy.is_away = True

    said = await submitted(ingress, tls, f"From: {author}\n\n", sender=BOSS)

    assert said.startswith(reply)


async def test_mail_from_servers_is_not_amended(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await play(
        "S: 220 …\nC: HELO b.test\nS: 250 …\nC: MAIL FROM:<e@far.test>\nS: 250 …\n"
        "C: RCPT TO:<anna@example.test>\nS: 250 …\nC: DATA\nS: 354 …\n"
        "C: To: bert\nC: Bcc: x@far.test\nC:\nC: .\nS: 250 …\nC: QUIT\nS: 221 …",
        reader, writer,
    )  # fmt: skip
    writer.close()

    assert ingress.cellar.octets.endswith(b"; none\r\nTo: bert\r\nBcc: x@far.test\r\n\r\n")
