"""Large messages in chunks (RFC 3030)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from delivery_remote.session import Manners, open_session
from delivery_remote.session.manners import Rules
from delivery_remote.transcript import Lost, Reply
from delivery_remote.trouble import Later, Never, Taken, judge
from posthouse.mail.errors import Unavailable
from support.outside import MESSAGE, mail, manners, target
from support.scripted_smtp import DROP, HANG, Said, scripted

OFFER = "250-peer.test\n250-PIPELINING\n250-SIZE 9000000\n250-8BITMIME\n250 CHUNKING"
SLOW = OFFER.replace("250-PIPELINING\n", "")
LARGE = b"Subject: large\r\n\r\n" + (b"." * 70 + b"\r\n") * 5_000  # 360 kB, four pieces


def keen() -> Manners:
    return replace(manners(), rules=Rules(chunked_from=0))


@pytest.mark.parametrize("offer", [OFFER, SLOW])
@pytest.mark.parametrize("octets", [MESSAGE, LARGE, b"", b"no end"])
async def test_chunks_are_the_message_itself(offer: str, octets: bytes) -> None:
    async with scripted(EHLO=offer) as peer:
        session = await open_session(target(peer), keen())
        transcript = await session.transact(mail("a@b.test", "b@b.test", octets=octets))
        await session.quit()

    whole = octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"
    assert transcript.end == Reply(250, "2.0.0 taken")
    assert peer.accepted == [whole]
    chunks = [command for command in peer.commands if command.startswith("BDAT")]
    assert chunks[-1].endswith(" LAST")
    assert sum(int(command.split(" ")[1]) for command in chunks) == len(whole)
    assert "DATA" not in peer.commands
    assert "RSET" not in peer.commands


async def test_a_small_message_goes_by_data_and_so_does_all_where_chunks_are_not_offered() -> None:
    async with scripted(EHLO=OFFER) as peer, scripted() as bare:
        for server, octets in ((peer, MESSAGE), (bare, LARGE)):
            session = await open_session(target(server), manners())
            await session.transact(mail(octets=octets))
            session.abort()

    assert "DATA" in peer.commands
    assert "DATA" in bare.commands


async def test_bare_line_ends_are_mended_in_chunks_too() -> None:
    async with scripted(EHLO=OFFER) as peer:
        session = await open_session(target(peer), keen())
        await session.transact(mail(octets=b"a\n.\r\nb\rc"))
        session.abort()

    assert peer.accepted == [b"a\r\n.\r\nb\r\nc\r\n"]


async def test_nobody_gets_octets_if_no_recipient_was_accepted() -> None:
    async with scripted(EHLO=OFFER, RCPT=["550 5.1.1 unknown", "250 ok"]) as peer:
        session = await open_session(target(peer), keen())
        first = await session.transact(mail())
        second = await session.transact(mail())
        session.abort()

    assert isinstance(judge(first, 1)[0], Never)
    assert isinstance(second.end, Reply)
    assert len(peer.messages) == 1
    assert peer.commands.count("RSET") == 1


@pytest.mark.parametrize("offer", [OFFER, SLOW])
@pytest.mark.parametrize("reply", ["452 4.3.1 disk full", "552 5.3.4 too much"])
async def test_after_a_chunk_that_is_refused_no_last_one_follows(offer: str, reply: str) -> None:
    async with scripted(EHLO=offer, BDAT=["250 ok", reply, "503 5.5.1 no", "250 ok"]) as peer:
        session = await open_session(target(peer), keen())
        failed = await session.transact(mail(octets=LARGE * 2))
        assert peer.messages == []
        again = await session.transact(mail())
        session.abort()

    verdict = judge(failed, 1)[0]
    assert failed.end == Reply(int(reply[:3]), reply[4:])
    assert isinstance(verdict, Later if reply.startswith("4") else Never)
    assert isinstance(again.end, Reply)
    assert again.end.is_positive
    assert peer.commands.count("RSET") == 1


async def test_a_refusal_of_the_last_chunk_counts_and_the_session_goes_on() -> None:
    async with scripted(EHLO=OFFER, LAST=["554 5.7.1 spam", "250 ok"]) as peer:
        session = await open_session(target(peer), keen())
        failed = await session.transact(mail())
        again = await session.transact(mail())
        session.abort()

    assert isinstance(judge(failed, 1)[0], Never)
    assert again.end == Reply(250, "ok")
    assert peer.commands.count("RSET") == 1


async def test_a_yes_to_the_last_chunk_is_none_if_one_before_was_refused() -> None:
    async with scripted(EHLO=OFFER, BDAT=["250 ok", "250 ok", "451 4.3.0 no"]) as peer:
        session = await open_session(target(peer), keen())
        failed = await session.transact(mail(octets=LARGE))
        session.abort()

    assert len(peer.messages) == 1  # the last one was on its way when the refusal came
    assert isinstance(judge(failed, 1)[0], Later)


@pytest.mark.parametrize(("said", "is_unknown"), [({"BDAT": DROP}, False), ({"LAST": DROP}, True)])
async def test_only_after_the_last_chunk_silence_means_unknown(
    said: dict[str, Said], *, is_unknown: bool
) -> None:
    async with scripted({"EHLO": SLOW, **said}) as peer:
        session = await open_session(target(peer), keen())
        transcript = await session.transact(mail(octets=LARGE))
        session.abort()

    verdict = judge(transcript, 1)[0]
    assert isinstance(transcript.end if is_unknown else transcript.content, Lost)
    assert isinstance(verdict, Later)
    assert verdict.elsewhere is not is_unknown


async def test_if_the_octets_cannot_be_had_no_last_chunk_is_sent() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"Subject: half\r\n\r\n"
        yield b"more\r\n"
        raise Unavailable("storage is not available")

    async with scripted(EHLO=OFFER) as peer:
        session = await open_session(target(peer), keen())
        with pytest.raises(Unavailable):
            await session.transact(replace(mail(), pieces=broken))

    assert peer.messages == []
    assert not session.is_usable


@pytest.mark.parametrize("offer", [OFFER, SLOW])
async def test_a_store_answers_the_last_chunk_for_each_recipient(offer: str) -> None:
    """RFC 2033 §4.3."""
    said = {"RCPT": ["250 ok", "550 5.1.1 unknown", "250 ok"], "LAST": ["250 ok", "452 4.2.2 full"]}
    async with scripted(said, LHLO=offer) as peer:
        session = await open_session(target(peer, lmtp=True), keen())
        transcript = await session.transact(mail("a@b.test", "b@b.test", "c@b.test", octets=LARGE))
        peer.say(LAST="250 ok", RCPT="250 ok")
        again = await session.transact(mail())
        await session.quit()

    assert [type(each) for each in judge(transcript, 3)] == [Taken, Never, Later]
    assert [type(each) for each in judge(again, 1)] == [Taken]
    assert peer.accepted == [LARGE, MESSAGE]
    assert "DATA" not in peer.commands
    assert "RSET" not in peer.commands


async def test_a_store_that_refuses_a_chunk_behind_which_the_last_one_went_is_left() -> None:
    """How many replies that last one has, nobody says."""
    refusals = ["250 ok", "250 ok", "250 ok", "452 4.3.1 disk full"]
    async with scripted(LHLO=OFFER, BDAT=refusals, LAST=HANG) as peer:
        session = await open_session(target(peer, lmtp=True), keen())
        transcript = await session.transact(
            mail("a@b.test", "b@b.test", octets=LARGE + b"." * 99_000)
        )

        assert not session.is_usable

    assert [type(each) for each in judge(transcript, 2)] == [Later, Later]
