"""Mail for servers that lack something."""

from __future__ import annotations

import email
import tempfile
from dataclasses import replace

import pytest

from delivery_remote.session import open_session
from delivery_remote.session.manners import EightBit, Rules
from delivery_remote.transcript import Reply
from delivery_remote.trouble import Never, Taken, judge
from posthouse.mail.errors import TemporaryFailure, Unavailable
from support.outside import MESSAGE, mail, manners, target
from support.scripted_smtp import scripted

BARE = "250 peer.test"
STRICT = replace(manners(), rules=Rules(eight_bit=EightBit.BOUNCE))
STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..")
LAX = replace(manners(), rules=Rules(eight_bit=EightBit.AS_IS))
HEAD = b"Subject: hello\r\n\r\n"
WIDE = HEAD + "Grüße\r\n".encode()


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


async def test_eight_bits_go_as_they_are_or_not_at_all_where_an_operator_wants_that() -> None:
    async with scripted(EHLO=BARE) as peer:
        lax = await open_session(target(peer), LAX)
        strict = await open_session(target(peer), STRICT)
        taken = await lax.transact(mail(octets=WIDE))
        refused = await strict.transact(mail(octets=WIDE))
        narrow = await strict.transact(mail())
        lax.abort()
        strict.abort()

    verdict = judge(refused, 1)[0]
    assert isinstance(taken.end, Reply)
    assert isinstance(verdict, Never)
    assert verdict.status.enhanced == (5, 6, 3)
    assert isinstance(narrow.end, Reply)
    assert peer.accepted == [WIDE, STUFFED]


@pytest.mark.parametrize("size", [1, 40_000])
async def test_eight_bits_become_seven_of_which_size_and_chunks_are_told(size: int) -> None:
    octets = WIDE + b"to all who read this, and the others\r\n" * size
    offers = "250-peer.test\n250-SIZE 9000000\n250-CHUNKING\n250 PIPELINING"
    async with scripted(EHLO=offers) as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail(octets=octets))
        session.abort()

    [sent] = peer.accepted
    assert isinstance(judge(transcript, 1)[0], Taken)
    assert sent.isascii()
    assert email.message_from_bytes(sent).get_payload(decode=True) == octets[len(HEAD) :]
    assert f"MAIL FROM:<anna@a.test> SIZE={len(sent)}" in peer.commands
    assert ("DATA" in peer.commands) == (size == 1)


async def test_what_is_too_large_only_in_seven_bits_is_not_begun() -> None:
    octets = WIDE * 10
    async with scripted(EHLO=f"250-peer.test\n250 SIZE {len(octets)}") as peer:
        session = await open_session(target(peer), manners())
        verdict = judge(await session.transact(mail(octets=octets)), 1)[0]
        session.abort()

    assert isinstance(verdict, Never)
    assert verdict.status.enhanced == (5, 3, 4)
    assert len(peer.commands) == 1


async def test_what_is_signed_goes_back_rather_than_changed() -> None:
    octets = b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" + WIDE + b"--b--\r\n"
    async with scripted(EHLO=BARE) as peer:
        session = await open_session(target(peer), manners())
        verdict = judge(await session.transact(mail(octets=octets)), 1)[0]
        plain = await session.transact(mail())
        session.abort()

    assert isinstance(verdict, Never)
    assert verdict.status.enhanced == (5, 6, 3)
    assert "multipart/signed" in verdict.reply
    assert isinstance(plain.end, Reply)
    assert peer.accepted == [STUFFED]


async def test_a_claim_that_is_lost_ends_a_converted_mail_before_its_dot() -> None:
    async def lost() -> None:
        raise Unavailable("the claim was lost")

    async with scripted(EHLO=BARE) as peer:
        session = await open_session(target(peer), manners())
        with pytest.raises(Unavailable):
            await session.transact(replace(mail(octets=WIDE), confirm=lost))

        assert not session.is_usable

    assert "DATA" in peer.commands
    assert peer.messages == []


async def test_without_room_for_it_a_mail_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev/full")
    async with scripted(EHLO=BARE) as peer:
        session = await open_session(target(peer), manners())
        with pytest.raises(TemporaryFailure):
            await session.transact(mail(octets=WIDE * 100_000))
        session.abort()


async def test_where_8bitmime_is_offered_nothing_is_forbidden() -> None:
    async with scripted() as peer:
        session = await open_session(target(peer), STRICT)
        transcript = await session.transact(mail(octets=WIDE))
        session.abort()

    assert isinstance(transcript.end, Reply)
