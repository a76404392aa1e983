"""Conversations with polite, rude and broken servers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from delivery_remote.routes import Login, Tls
from delivery_remote.session import Refused, open_session
from delivery_remote.transcript import Lost, Reply, Stage
from posthouse.mail.errors import Unavailable
from support.outside import MESSAGE, QUICK, mail, manners, secured, target
from support.scripted_smtp import DROP, HANG, INJECT, JUNK_TLS, Said, scripted

PLAIN = "250-peer.test\n250 8BITMIME"  # no PIPELINING
SECURE = "250-peer.test\n250-PIPELINING\n250-AUTH PLAIN LOGIN\n250 STARTTLS"
STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..")


@pytest.mark.parametrize("offer", [PLAIN, PLAIN.replace("8BITMIME", "PIPELINING")])
async def test_a_message_arrives_as_it_is(offer: str) -> None:
    async with scripted(EHLO=offer) as peer:
        session = await open_session(target(peer), manners())

        transcript = await session.transact(mail("bert@b.test", "carl@b.test"))
        await session.quit()

    assert transcript.end == Reply(250, "2.0.0 taken")
    assert peer.accepted == [STUFFED]
    assert [command.split(" ")[0] for command in peer.commands] == [
        "EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT",
    ]  # fmt: skip


async def test_what_the_server_offers_is_used_and_nothing_else() -> None:
    async with scripted(EHLO="250-peer.test\n250-SIZE 999\n250 8BITMIME") as peer:
        session = await open_session(target(peer), manners())
        await session.transact(mail())
        session.abort()
    async with scripted(EHLO="250 peer.test") as bare:
        session = await open_session(target(bare), manners())
        await session.transact(mail())
        session.abort()

    assert f"MAIL FROM:<anna@a.test> SIZE={len(MESSAGE)} BODY=8BITMIME" in peer.commands
    assert "MAIL FROM:<anna@a.test>" in bare.commands


async def test_commands_are_written_together_where_the_server_can_pipeline() -> None:
    async with scripted(MAIL=HANG) as peer:
        session = await open_session(target(peer), manners(replace(QUICK, mail=0.1)))
        transcript = await session.transact(mail())

    assert isinstance(transcript.mail, Lost)
    assert not session.is_usable


async def test_a_hundred_recipients_are_asked_for_in_one_transaction() -> None:
    many = tuple(f"user{n}@b.test" for n in range(100))
    async with scripted(RCPT=["250 ok"] * 50 + ["550 5.1.1 unknown"]) as peer:
        session = await open_session(target(peer), manners())

        transcript = await session.transact(mail(*many))
        session.abort()

    assert [isinstance(each, Reply) and each.code for each in transcript.recipients] == (
        [250] * 50 + [550] * 50
    )
    assert len(peer.accepted) == 1


async def test_if_nobody_is_accepted_a_waiting_server_gets_the_lone_dot() -> None:
    async with scripted(RCPT="550 5.1.1 unknown", dot="554 5.5.1 no recipients") as peer:
        session = await open_session(target(peer), manners())

        transcript = await session.transact(mail())
        again = await session.transact(mail())
        session.abort()

    assert peer.messages == [b"", b""]
    assert peer.accepted == []
    assert isinstance(transcript.recipients[0], Reply)
    assert again.mail == Reply(250, "2.1.0 ok")


async def test_without_pipelining_nothing_is_asked_after_a_no() -> None:
    async with scripted(EHLO=PLAIN, MAIL="550 5.7.1 no") as peer:
        session = await open_session(target(peer), manners())
        await session.transact(mail())
        session.abort()
    async with scripted(EHLO=PLAIN, RCPT="550 5.1.1 no") as other:
        session = await open_session(target(other), manners())
        await session.transact(mail())
        session.abort()

    assert not [command for command in peer.commands if command.startswith(("RCPT", "DATA"))]
    assert not [command for command in other.commands if command.startswith("DATA")]


async def test_an_unfinished_transaction_is_reset_before_the_next() -> None:
    async with scripted(EHLO=PLAIN, RCPT=["550 5.1.1 no", "250 ok"]) as peer:
        session = await open_session(target(peer), manners())
        await session.transact(mail())
        second = await session.transact(mail())
        third = await session.transact(mail())
        session.abort()

    assert isinstance(second.end, Reply)
    assert isinstance(third.end, Reply)
    assert peer.commands.count("RSET") == 1


@pytest.mark.parametrize(
    ("said", "stage"),
    [
        ({"connect": "554 5.7.1 no service"}, Stage.GREETING),
        ({"connect": DROP}, Stage.GREETING),
        ({"connect": "hello there"}, Stage.GREETING),
        ({"connect": "220-" + "x" * 100_000}, Stage.GREETING),
        ({"EHLO": "421 4.3.2 shutting down"}, Stage.HELLO),
        ({"EHLO": "451 4.3.0 not now"}, Stage.HELLO),
        ({"EHLO": "502 what?", "HELO": "502 what?"}, Stage.HELLO),
        ({"EHLO": DROP}, Stage.HELLO),
    ],
)
async def test_a_server_that_does_not_open_is_refused_with_its_stage(
    said: dict[str, Said], stage: Stage
) -> None:
    async with scripted(said) as peer:
        with pytest.raises(Refused) as refused:
            await open_session(target(peer), manners())

    assert refused.value.refusal.stage is stage


async def test_a_server_that_does_not_greet_is_refused() -> None:
    async with scripted(connect=HANG) as peer:
        with pytest.raises(Refused) as refused:
            await open_session(target(peer), manners(replace(QUICK, greeting=0.1)))

    assert refused.value.refusal.stage is Stage.GREETING


async def test_a_closed_port_is_refused_in_words() -> None:
    async with scripted() as peer:
        pass

    with pytest.raises(Refused) as refused:
        await open_session(target(peer), manners())

    assert refused.value.refusal.stage is Stage.CONNECT
    assert "refused" in str(refused.value)


async def test_helo_is_enough() -> None:
    async with scripted(EHLO="500 what?") as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail())
        session.abort()

    assert isinstance(transcript.end, Reply)
    assert peer.commands[:2] == ["EHLO mail.example.test", "HELO mail.example.test"]


async def test_a_message_too_large_is_not_even_begun() -> None:
    async with scripted(EHLO="250-peer.test\n250 SIZE 10") as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail())
        session.abort()

    assert isinstance(transcript.mail, Reply)
    assert transcript.mail.code == 552
    assert transcript.mail.text.startswith("5.3.4")
    assert len(peer.commands) == 1


async def test_size_zero_is_no_limit() -> None:
    async with scripted(EHLO="250-peer.test\n250 SIZE 0") as peer:
        session = await open_session(target(peer), manners())
        assert isinstance((await session.transact(mail())).end, Reply)
        session.abort()


async def test_internationalized_mail_needs_a_server_that_takes_it() -> None:
    wide = mail("jörg@b.test", smtputf8=True)
    async with scripted() as narrow:
        session = await open_session(target(narrow), manners())
        refused = await session.transact(wide)
        session.abort()
    async with scripted(EHLO="250-peer.test\n250 SMTPUTF8") as peer:
        session = await open_session(target(peer), manners())
        taken = await session.transact(wide)
        session.abort()

    assert refused.mail == Reply(
        553, "5.6.7 the server does not take internationalized mail (SMTPUTF8)"
    )
    assert isinstance(taken.end, Reply)
    assert peer.commands[1:3] == ["MAIL FROM:<anna@a.test> SMTPUTF8", "RCPT TO:<jörg@b.test>"]


async def test_silence_after_the_dot_is_told_as_such() -> None:
    async with scripted(dot=DROP) as dropping, scripted(dot=HANG) as hanging:
        for peer in (dropping, hanging):
            session = await open_session(target(peer), manners(replace(QUICK, dot=0.1)))
            transcript = await session.transact(mail())

            assert isinstance(transcript.end, Lost)
            assert transcript.content is None
            assert not session.is_usable
            session.abort()


async def test_a_server_that_goes_in_the_middle_of_the_message_has_not_got_it() -> None:
    async with scripted(DATA=["354 go", "354 go"]) as peer:
        session = await open_session(target(peer), manners())
        whole = mail(octets=b"x" * 98 + b"\r\n")

        async def half() -> AsyncIterator[bytes]:
            yield b"Subject: half\r\n"
            yield b"x" * 200_000
            session._talk.line.abort()
            yield b"x" * 200_000

        transcript = await session.transact(replace(whole, pieces=half))

    assert isinstance(transcript.content, Lost)
    assert transcript.end is None
    assert peer.messages == []


async def test_if_the_octets_cannot_be_had_the_connection_is_cut_before_the_dot() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"Subject: half\r\n\r\n"
        raise Unavailable("storage is not available")

    async with scripted() as peer:
        session = await open_session(target(peer), manners())
        with pytest.raises(Unavailable):
            await session.transact(replace(mail(), pieces=broken))

    assert peer.messages == []
    assert not session.is_usable


async def test_a_large_message_arrives_whole() -> None:
    octets = b"Subject: large\r\n\r\n" + (b"." * 70 + b"\r\n") * 40_000
    async with scripted(EHLO=PLAIN) as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail(octets=octets))
        session.abort()

    assert isinstance(transcript.end, Reply)
    assert peer.accepted == [octets.replace(b"\r\n.", b"\r\n..")]


async def test_a_server_that_says_goodbye_by_itself_is_not_used_again() -> None:
    async with scripted(dot="250 2.0.0 taken\n421 4.4.2 and goodbye") as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail())
        assert isinstance(transcript.end, Reply)
        async with asyncio.timeout(5):
            while session.is_usable:  # noqa: ASYNC110 - nobody tells that its goodbye has come
                await asyncio.sleep(0)
        session.abort()


async def test_replies_are_stored_without_what_a_database_cannot_hold() -> None:
    async with scripted(RCPT="550 5.1.1 nul \0 and bell \a here") as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail())
        session.abort()

    assert transcript.recipients == (Reply(550, "5.1.1 nul \ufffd and bell \ufffd here"),)


async def test_an_address_cannot_smuggle_a_command() -> None:
    async with scripted() as peer:
        session = await open_session(target(peer), manners())
        with pytest.raises(ValueError, match="control character"):
            await session.transact(mail("bert@b.test>\r\nRCPT TO:<eve@e.test"))

    assert not [command for command in peer.commands if "eve" in command]


async def test_tls_is_used_where_it_is_offered_and_what_was_said_before_is_void(
    tmp_path: Path,
) -> None:
    tls = secured(tmp_path, "somebody.else.test")
    async with scripted(EHLO=[SECURE, PLAIN], tls=tls.server) as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail())
        await session.quit()

    assert session.tls.startswith("TLSv1.")
    assert isinstance(transcript.end, Reply)
    assert peer.encrypted == 1
    assert [command.split(" ")[0] for command in peer.commands][:3] == ["EHLO", "STARTTLS", "EHLO"]


@pytest.mark.parametrize(
    "broken", [JUNK_TLS, INJECT, DROP, HANG, "454 4.7.0 not now", "500 5.5.1 what?"]
)
async def test_if_tls_fails_the_mail_goes_in_plain_text_on_a_new_connection(broken: str) -> None:
    async with scripted(EHLO=SECURE, STARTTLS=broken) as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail())
        session.abort()

    assert session.tls == ""
    assert session.has_failed_tls
    assert isinstance(transcript.end, Reply)
    assert peer.connections == 2


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LOGIN = Login("house", "geheim")


async def test_a_smarthost_is_logged_in_to_over_verified_tls(tmp_path: Path) -> None:
    tls = secured(tmp_path)
    async with scripted(EHLO=SECURE, tls=tls.server) as peer:
        session = await open_session(target(peer, tls=Tls.REQUIRED, login=LOGIN), tls.manners)
        session.abort()

    assert "AUTH PLAIN AGhvdXNlAGdlaGVpbQ==" in peer.commands
    assert "geheim" not in repr(target(peer, login=LOGIN))


async def test_login_is_spoken_where_plain_is_not(tmp_path: Path) -> None:
    tls = secured(tmp_path)
    offer = SECURE.replace("PLAIN ", "")
    said = {
        "AUTH": "334 VXNlcm5hbWU6",
        b64("house").upper(): "334 UGFzc3dvcmQ6",
        b64("geheim").upper(): "235 welcome",
    }
    async with scripted({"EHLO": offer, **said}, tls=tls.server) as peer:
        session = await open_session(target(peer, tls=Tls.REQUIRED, login=LOGIN), tls.manners)
        session.abort()

    assert peer.commands[-3:] == ["AUTH LOGIN", b64("house"), b64("geheim")]


@pytest.mark.parametrize(
    ("said", "stage"),
    [
        ({"EHLO": PLAIN}, Stage.TLS),
        ({"STARTTLS": "454 not now"}, Stage.TLS),
        ({"STARTTLS": JUNK_TLS}, Stage.TLS),
        ({"EHLO": [SECURE, PLAIN]}, Stage.AUTH),
        ({"AUTH": "535 5.7.8 no"}, Stage.AUTH),
    ],
)
async def test_a_password_is_never_said_in_plain_text_nor_is_a_mail_without_it(
    said: dict[str, Said], stage: Stage, tmp_path: Path
) -> None:
    tls = secured(tmp_path)
    async with scripted({"EHLO": SECURE, **said}, tls=tls.server) as peer:
        with pytest.raises(Refused) as refused:
            await open_session(target(peer, tls=Tls.REQUIRED, login=LOGIN), tls.manners)

    assert refused.value.refusal.stage is stage
    if stage is Stage.TLS:
        assert not [command for command in peer.commands if command.startswith("AUTH")]


async def test_a_password_is_not_said_to_a_server_with_a_foreign_certificate(
    tmp_path: Path,
) -> None:
    tls = secured(tmp_path, "another.test")
    async with scripted(EHLO=SECURE, tls=tls.server) as peer:
        with pytest.raises(Refused) as refused:
            await open_session(target(peer, tls=Tls.REQUIRED, login=LOGIN), tls.manners)

    assert refused.value.refusal.stage is Stage.TLS
    assert not [command for command in peer.commands if command.startswith("AUTH")]
