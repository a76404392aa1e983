"""Conversations with mail stores that answer for each recipient (RFC 2033)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from delivery_remote.routes import Target
from delivery_remote.session import Refused, open_session
from delivery_remote.transcript import Lost, Reply, Stage
from delivery_remote.trouble import Later, Never, Taken, judge
from support.outside import QUICK, mail, manners, target
from support.scripted_smtp import DROP, HANG, scripted

FOUR = ("a@b.test", "b@b.test", "c@b.test", "d@b.test")


async def test_each_recipient_has_an_answer_of_its_own() -> None:
    ends = ["250 2.0.0 ok", "452 4.2.2 full", "550 5.7.1 no"]
    said = {"RCPT": ["250 ok", "550 5.1.1 unknown", "250 ok"], "dot": ends}
    async with scripted(said | {".": ends}) as peer:
        session = await open_session(target(peer, lmtp=True), manners())
        transcript = await session.transact(mail(*FOUR))
        assert session.is_usable
        await session.quit()

    verdicts = judge(transcript, 4)
    assert [type(each) for each in verdicts] == [Taken, Never, Later, Never]
    assert verdicts[2].reply == "452 4.2.2 full"
    assert [command.split(" ")[0] for command in peer.commands] == [
        "LHLO", "MAIL", "RCPT", "RCPT", "RCPT", "RCPT", "DATA", "QUIT",
    ]  # fmt: skip


@pytest.mark.parametrize("how", [DROP, HANG, "421 4.3.2 shutting down"])
async def test_who_has_no_answer_may_have_the_message(how: str) -> None:
    async with scripted({".": ["250 2.0.0 ok", how]}) as peer:
        session = await open_session(target(peer, lmtp=True), manners(replace(QUICK, dot=0.1)))
        transcript = await session.transact(mail(*FOUR[:3]))

        assert not session.is_usable
        session.abort()

    first, second, third = judge(transcript, 3)
    assert isinstance(transcript.end, Lost)
    assert isinstance(first, Taken)
    assert isinstance(second, Later)
    assert isinstance(third, Later)
    assert not third.elsewhere


async def test_a_store_that_waits_for_a_message_to_nobody_is_left() -> None:
    async with scripted(RCPT="550 5.1.1 unknown") as peer:
        session = await open_session(target(peer, lmtp=True), manners())
        transcript = await session.transact(mail())

        assert not session.is_usable

    assert isinstance(judge(transcript, 1)[0], Never)
    assert peer.messages == []


async def test_nothing_but_lhlo_will_do() -> None:
    async with scripted(LHLO="500 5.5.1 what?") as peer:
        with pytest.raises(Refused) as refused:
            await open_session(target(peer, lmtp=True), manners())

    assert refused.value.refusal.stage is Stage.HELLO
    assert peer.commands == ["LHLO mail.example.test"]


async def test_a_store_may_listen_on_a_socket_of_this_machine(tmp_path: Path) -> None:
    async with scripted(LHLO="250-box\n250 STARTTLS") as peer:
        path = str(tmp_path / "lmtp.sock")
        server = await asyncio.start_unix_server(peer.serve, path)
        session = await open_session(Target(host=path, address=path, port=0, lmtp=True), manners())
        transcript = await session.transact(mail())
        await session.quit()
        server.close()

    assert isinstance(transcript.end, Reply)
    assert "STARTTLS" not in peer.commands


async def test_a_socket_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    path = str(tmp_path / "nobody.sock")
    with pytest.raises(Refused) as refused:
        await open_session(Target(host=path, address=path, port=0, lmtp=True), manners())

    assert refused.value.refusal.stage is Stage.CONNECT
    assert "No such file" in str(refused.value)
