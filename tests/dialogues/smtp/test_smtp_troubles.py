"""When something is away, vanishes, waits too long or ends: 250 means safe, and nothing else."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from datetime import timedelta

import pytest

from ingress_smtp.listener import Patience
from ingress_smtp.ports import Limits
from ingress_smtp.session import MAX_FRUITLESS
from support.dialogue import play
from support.ingress import LIMITS, PATIENCE, Ingress, running_ingress

MAIL = """
C: MAIL FROM:<e@far.test>
S: 250 2.1.0 …
C: RCPT TO:<anna@example.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
C: hello
C: .
"""
HELLO = "S: 220 …\nC: EHLO b.test\nS* 250 STARTTLS\n"
BYE = "\nC: QUIT\nS: 221 …\nS: [closes]"


def impatient(silence: float) -> Limits:
    return replace(LIMITS, patience=replace(PATIENCE, silence=timedelta(seconds=silence)))


@pytest.mark.parametrize("away", ["store", "ledger"])
async def test_what_cannot_be_stored_is_451_and_comes_through_later(
    ingress: Ingress, away: str
) -> None:
    reader, writer = await ingress.connect()
    setattr(ingress.cellar, f"is_{away}_away", True)
    await play(HELLO + MAIL + "S: 451 4.3.0 Temporarily unavailable", reader, writer)
    assert not ingress.cellar.mails
    assert not ingress.cellar.published

    setattr(ingress.cellar, f"is_{away}_away", False)
    await play(MAIL + "S: 250 2.0.0 …" + BYE, reader, writer)
    writer.close()

    assert len(ingress.cellar.mails) == len(ingress.cellar.published) == 1


async def test_without_policy_a_stranger_waits_and_an_account_does_not(
    ingress: Ingress, tls: ssl.SSLContext
) -> None:
    ingress.policy.is_away = True
    stranger = "C: MAIL FROM:<e@far.test>\nS: 250 …\nC: RCPT TO:<anna@example.test>\nS: 451 4.3.0 …"
    reader, writer = await ingress.connect()
    await play(HELLO + stranger + BYE, reader, writer)
    writer.close()

    login = "C: EHLO c.test\nS* 250 AUTH …\nC: AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==\nS: 235 …"
    reader, writer = await ingress.connect("smtps", tls)
    await play("S: 220 …\n" + login + MAIL + "S: 250 2.0.0 …" + BYE, reader, writer)
    writer.close()

    assert [mail.auth for mail in ingress.cellar.mails] == ["anna@example.test"]


async def test_policy_is_not_asked_the_same_twice_within_seconds(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await play(HELLO + (MAIL + "S: 250 2.0.0 …") * 3 + BYE, reader, writer)
    writer.close()

    assert len(ingress.policy.asked) == 1


async def _end_is_seen(ingress: Ingress) -> None:
    """Return when the server knows that nothing more comes from its one client."""
    (connection,) = ingress.listeners._sessions
    async with asyncio.timeout(5):
        while not connection._has_all:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["abort", "half"])
async def test_a_client_that_vanishes_before_its_250_leaves_one_message(
    ingress: Ingress, how: str
) -> None:
    ingress.cellar.may_commit.clear()
    reader, writer = await ingress.connect()
    await play(HELLO + MAIL, reader, writer)
    await ingress.cellar.committing.wait()

    if how == "abort":
        writer.transport.abort()
        await _end_is_seen(ingress)  # while it commits
        ingress.cellar.may_commit.set()
    else:
        writer.write_eof()
        await _end_is_seen(ingress)
        ingress.cellar.may_commit.set()
        await play("S: 250 2.0.0 …\nS: [closes]", reader, writer)
    writer.close()
    await ingress.listeners.drain(timedelta(seconds=5))

    assert len(ingress.cellar.mails) == len(ingress.cellar.published) == 1


async def test_a_client_that_vanishes_within_data_leaves_nothing(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await play(HELLO + MAIL.removesuffix("C: .\n"), reader, writer)
    writer.write_eof()

    assert await reader.read() == b""
    writer.close()
    await ingress.listeners.drain(timedelta(seconds=5))
    assert not ingress.cellar.objects


async def test_nobody_may_keep_us_waiting(certificate: ssl.SSLContext) -> None:
    async with running_ingress(certificate, limits=impatient(0.2)) as ingress:
        reader, writer = await ingress.connect()
        await play("S: 220 …\nS: 421 4.4.2 …\nS: [closes]", reader, writer)
        writer.close()

        reader, writer = await ingress.connect()
        await play(
            HELLO + MAIL.removesuffix("C: .\n") + "S: 421 4.4.2 …\nS: [closes]", reader, writer
        )
        writer.close()


async def test_our_own_slowness_is_not_the_clients(certificate: ssl.SSLContext) -> None:
    async with running_ingress(certificate, limits=impatient(0.2)) as ingress:
        ingress.cellar.may_commit.clear()
        reader, writer = await ingress.connect()
        await play(HELLO + MAIL, reader, writer)
        await asyncio.sleep(0.6)  # three times the client's patience
        ingress.cellar.may_commit.set()
        await play("S: 250 2.0.0 …" + BYE, reader, writer)
        writer.close()


@pytest.mark.parametrize("limit", ["sessions", "sessions_per_client"])
async def test_one_session_too_many_is_sent_away(certificate: ssl.SSLContext, limit: str) -> None:
    of_all, of_one = (1, 100) if limit == "sessions" else (100, 1)
    few = replace(LIMITS, sessions=of_all, sessions_per_client=of_one)
    async with running_ingress(certificate, limits=few) as ingress:
        reader, writer = await ingress.connect()
        await play("S: 220 …", reader, writer)

        second, second_writer = await ingress.connect()
        await play("S: 421 4.3.2 …\nS: [closes]", second, second_writer)
        second_writer.close()

        await play(BYE, reader, writer)
        writer.close()
        third, third_writer = await ingress.connect()
        await play("S: 220 …" + BYE, third, third_writer)
        third_writer.close()


async def test_draining_ends_idle_sessions_and_finishes_transactions(ingress: Ingress) -> None:
    idle, idle_writer = await ingress.connect()
    await play(HELLO, idle, idle_writer)
    busy, busy_writer = await ingress.connect()
    await play(HELLO + MAIL.removesuffix("C: .\n"), busy, busy_writer)

    draining = asyncio.create_task(ingress.listeners.drain(timedelta(seconds=10)))
    await play("S: 421 4.3.2 …\nS: [closes]", idle, idle_writer)
    with pytest.raises(OSError, match="Connect"):
        await ingress.connect()
    await play("C: .\nS: 250 2.0.0 …\nS: 421 4.3.2 …\nS: [closes]", busy, busy_writer)
    await draining

    for writer in (idle_writer, busy_writer):
        writer.close()
    assert len(ingress.cellar.mails) == 1


async def test_draining_speaks_to_nobody_whose_session_we_have_ended(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    writer.write(b"x\r\n" * 30)
    assert b"421 4.7.0 " in await reader.read()

    await ingress.listeners.drain(timedelta())  # it lingers still: we have not closed
    writer.close()


async def test_when_grace_is_over_sessions_are_cut_off(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await play(HELLO + "C: MAIL FROM:<>\nS: 250 …", reader, writer)

    await ingress.listeners.drain(timedelta(seconds=0.1))

    assert (await reader.read()).startswith((b"421 4.3.2", b""))
    writer.close()


async def test_a_client_that_speaks_no_tls_after_starttls_is_left(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await play(HELLO + "C: STARTTLS\nS: 220 …\nC: MAIL FROM:<e@far.test>", reader, writer)

    answer = await reader.read()

    assert b"250" not in answer
    writer.close()


async def test_without_a_certificate_tls_is_not_offered() -> None:
    async with running_ingress(None) as ingress:
        reader, writer = await ingress.connect("submission")
        await play(
            "S: 220 …\nC: EHLO c.test\nS* 250 ENHANCEDSTATUSCODES\nC: STARTTLS\nS: 502 5.5.1 …"
            "\nC: MAIL FROM:<a@b.test>\nS: 530 5.7.0 …" + BYE,
            reader, writer,
        )  # fmt: skip
        writer.close()


async def drip(writer: asyncio.StreamWriter, octets: bytes) -> None:
    """Send ``octets`` again and again, too often to be called silent, until told to stop."""
    while True:
        writer.write(octets)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("before", "octets"), [("", b"x"), (MAIL.partition("C: hello")[0], b"y\r\n")]
)
async def test_a_client_that_drips_for_ever_is_sent_away(before: str, octets: bytes) -> None:
    patience = Patience(
        silence=timedelta(seconds=20 if before else 0.3), message=timedelta(seconds=0.3)
    )
    async with running_ingress(None, limits=replace(LIMITS, patience=patience)) as ingress:
        reader, writer = await ingress.connect()
        await play("S: 220 …\nC: HELO b.test\nS: 250 …" + before, reader, writer)
        dripping = asyncio.ensure_future(drip(writer, octets))
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"421 4.4.2 ")
        dripping.cancel()
        writer.close()
        assert not ingress.cellar.mails


@pytest.mark.parametrize("command", ["NOOP", "RCPT TO:<nobody@example.test>"])
async def test_nobody_harvests_addresses_or_chats_for_ever(ingress: Ingress, command: str) -> None:
    reader, writer = await ingress.connect()
    await play(
        "S: 220 …\nC: HELO b.test\nS: 250 …\nC: MAIL FROM:<e@far.test>\nS: 250 …", reader, writer
    )
    writer.write(f"{command}\r\n".encode() * (MAX_FRUITLESS + 10))

    replies = (await reader.read()).splitlines()
    writer.close()

    assert MAX_FRUITLESS - 2 <= len(replies) <= MAX_FRUITLESS
    assert replies[-1].startswith(b"421 4.7.0 ")
