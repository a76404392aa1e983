"""Mail for servers that lack something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from delivery_remote.session import open_session
from delivery_remote.session.manners import EightBit, Rules
from delivery_remote.transcript import Reply
from delivery_remote.trouble import Never, judge
from support.outside import mail, manners, target
from support.scripted_smtp import scripted

BARE = "250 peer.test"
STRICT = replace(manners(), rules=Rules(eight_bit=EightBit.BOUNCE))
WIDE = "Subject: hello\r\n\r\nGrüße\r\n".encode()


async def test_where_only_domains_need_smtputf8_they_go_as_a_labels() -> None:
    letter = replace(
        mail("bert@bücher.test", "carl@b.test", sender="anna@jörg.test", smtputf8=True),
        plain_header=True,
    )
    async with scripted() as narrow, scripted(EHLO="250-peer.test\n250 SMTPUTF8") as peer:
        for server in (narrow, peer):
            session = await open_session(target(server), manners())
            transcript = await session.transact(letter)
            assert isinstance(transcript.end, Reply)
            session.abort()

    assert [c for c in narrow.commands if c.startswith(("MAIL", "RCPT"))] == [
        f"MAIL FROM:<anna@xn--jrg-sna.test> SIZE={letter.size} BODY=8BITMIME",
        "RCPT TO:<bert@xn--bcher-kva.test>",
        "RCPT TO:<carl@b.test>",
    ]
    assert "MAIL FROM:<anna@jörg.test> SMTPUTF8" in peer.commands


@pytest.mark.parametrize(
    ("address", "plain_header"),
    [("jörg@b.test", True), ("bert@bücher.test", False), ("bert@a\u200bb.test", True)],
)
async def test_what_a_labels_cannot_say_goes_back(
    address: str,
    plain_header: bool,  # noqa: FBT001 - pytest gives it by name
) -> None:
    letter = replace(mail(address, smtputf8=True), plain_header=plain_header)
    async with scripted() as peer:
        session = await open_session(target(peer), manners())
        verdict = judge(await session.transact(letter), 1)[0]
        session.abort()

    assert isinstance(verdict, Never)
    assert verdict.status.enhanced == (5, 6, 7)
    assert len(peer.commands) == 1


async def test_eight_bits_go_as_they_are_unless_that_is_forbidden() -> None:
    async with scripted(EHLO=BARE) as peer:
        polite = await open_session(target(peer), manners())
        strict = await open_session(target(peer), STRICT)
        taken = await polite.transact(mail(octets=WIDE))
        refused = await strict.transact(mail(octets=WIDE))
        narrow = await strict.transact(mail())
        polite.abort()
        strict.abort()

    verdict = judge(refused, 1)[0]
    assert isinstance(taken.end, Reply)
    assert isinstance(verdict, Never)
    assert verdict.status.enhanced == (5, 6, 3)
    assert isinstance(narrow.end, Reply)
    assert len(peer.accepted) == 2


async def test_where_8bitmime_is_offered_nothing_is_forbidden() -> None:
    async with scripted() as peer:
        session = await open_session(target(peer), STRICT)
        transcript = await session.transact(mail(octets=WIDE))
        session.abort()

    assert isinstance(transcript.end, Reply)
