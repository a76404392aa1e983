"""What becomes of a message by policy's verdict, whether it is small or lies in the spool."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from posthouse.mail.content import ContentVerdict
from posthouse.mail.header import header_end
from posthouse.mail.ids import judging_key
from support.dialogue import play
from support.ingress import HOSTNAME, Ingress, running_ingress

OPEN = """
S: 220 …
C: EHLO b.test
S* 250 STARTTLS
C: MAIL FROM:<e@far.test>
S: 250 2.1.0 …
C: RCPT TO:<anna@example.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
"""
LMTP = """
S: 220 …
C: LHLO b.test
S* 250 STARTTLS
C: MAIL FROM:<e@far.test>
S: 250 2.1.0 …
C: RCPT TO:<anna@example.test>
S: 250 2.1.5 …
C: RCPT TO:<bert@example.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
"""
LETTER = b"Subject: hi\r\nMessage-ID: <1@far.test>\r\n\r\nhello\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcde\r\n" * 50_000


@pytest.fixture(params=[262_144, 16], ids=["memory", "spool"])
async def ingress(
    request: pytest.FixtureRequest, certificate: ssl.SSLContext
) -> AsyncIterator[Ingress]:
    async with running_ingress(certificate, spool_above=request.param) as running:
        yield running
        memory, disk = running.reception.space.memory, running.reception.space.disk
        assert memory.take(10_000_000), "all was given back"
        assert disk.take(10_000_000), "all was given back"


async def sent(
    ingress: Ingress, octets: bytes = LETTER, port: str = "mx", opening: str = OPEN
) -> list[str]:
    """Send ``octets`` and return the replies."""
    reader, writer = await ingress.connect(port)
    try:
        await play(opening, reader, writer)
        writer.write(octets + b".\r\nQUIT\r\n")
        return [line.decode() for line in (await reader.read()).splitlines()][:-1]
    finally:
        writer.close()


async def test_policy_sees_the_message_as_it_would_be_stored(ingress: Ingress) -> None:
    [reply] = await sent(ingress)

    [question] = ingress.policy.judge.asked
    assert reply.startswith("250 2.0.0 Ok: queued as ")
    assert question.octets == ingress.cellar.octets
    assert (question.hostname, question.client, question.hello) == (HOSTNAME, "127.0.0.1", "b.test")
    assert (question.sender, question.recipients) == ("e@far.test", ("anna@example.test",))
    assert (question.size, question.digests) == (len(question.octets), ())
    assert str(question.id) in reply


async def test_of_a_large_message_it_sees_header_beginning_and_hashes(ingress: Ingress) -> None:
    await sent(ingress, LARGE)

    [question] = ingress.policy.judge.asked
    stored = ingress.cellar.octets
    body = stored[header_end(stored) :]
    assert body == LARGE.partition(b"\r\n\r\n")[2]
    assert question.octets == stored[: header_end(stored) + 256 * 1024]
    assert question.size == len(stored)
    assert {(each.canon, each.octets, each.size) for each in question.digests} == {
        (canon, sha256(body).digest(), len(body)) for canon in ("simple", "relaxed")
    }


@pytest.mark.parametrize("letter", [LETTER, LARGE], ids=["small", "large"])
async def test_its_header_takes_the_place_of_ours(ingress: Ingress, letter: bytes) -> None:
    ingress.policy.judge.says = ContentVerdict(header=b"X-New: 1\r\n\r\n", rules=(("R", 1.0),))

    [reply] = await sent(ingress, letter)

    [mail] = ingress.cellar.mails
    assert reply.startswith("250 ")
    assert ingress.cellar.octets == b"X-New: 1\r\n\r\n" + letter.partition(b"\r\n\r\n")[2]
    assert mail.size == len(ingress.cellar.octets)
    assert mail.verdict == '{"action":"accept","rules":[["R",1.0]]}'


@pytest.mark.parametrize(("code", "action"), [(550, "reject"), (451, "tempfail")])
async def test_what_it_refuses_is_not_stored(ingress: Ingress, code: int, action: str) -> None:
    kind = code // 100
    ingress.policy.judge.says = ContentVerdict(
        action="reject" if action == "reject" else "tempfail",
        code=code, enhanced=(kind, 7, 1), text="Not like this", decided_by=("SECRET_RULE",),
    )  # fmt: skip

    assert await sent(ingress) == [f"{code} {kind}.7.1 Not like this"]
    assert not ingress.cellar.objects
    assert not ingress.cellar.mails


async def test_by_lmtp_each_recipient_hears_the_same(ingress: Ingress) -> None:
    ingress.policy.judge.says = ContentVerdict(
        action="reject", code=550, enhanced=(5, 7, 1), text="No"
    )

    assert await sent(ingress, port="lmtp", opening=LMTP) == ["550 5.7.1 No"] * 2
    assert ingress.policy.judge.asked[0].is_relay


async def test_what_is_discarded_is_written_down_and_not_stored(ingress: Ingress) -> None:
    ingress.policy.judge.says = ContentVerdict(action="discard", decided_by=("VIRUS",))

    [reply] = await sent(ingress)

    [(mail, rule)] = ingress.cellar.discarded
    assert reply.startswith("250 2.0.0 Ok: queued as ")
    assert (rule, mail.message_id, mail.recipients[0].address) == (
        "VIRUS", "<1@far.test>", "anna@example.test",
    )  # fmt: skip
    assert not ingress.cellar.objects
    assert not ingress.cellar.published


async def test_what_looks_like_spam_is_marked_for_junk(ingress: Ingress) -> None:
    ingress.policy.judge.says = ContentVerdict(action="quarantine", score=7.0)

    await sent(ingress)

    assert ingress.cellar.mails[0].envelope.junk


async def test_a_stranger_comes_back_when_nobody_judges(ingress: Ingress) -> None:
    ingress.policy.judge.is_away = True

    assert await sent(ingress) == ["451 4.7.1 Message cannot be judged now, try again later"]
    assert not ingress.cellar.objects


async def test_a_scanner_that_must_see_all_reads_it_from_the_store(ingress: Ingress) -> None:
    ingress.policy.judge.says = ContentVerdict(wants_all=True)

    [reply] = await sent(ingress, LARGE)

    first, again = ingress.policy.judge.asked
    key = judging_key(first.id)
    assert reply.startswith("250 ")
    assert (first.blob, again.blob) == ("", key)
    assert ingress.cellar.removed == {key: ingress.cellar.octets}


async def test_where_nothing_is_judged_nobody_is_asked_for_a_while(ingress: Ingress) -> None:
    ingress.policy.judge.says = ContentVerdict(rest_seconds=60)

    await sent(ingress, LARGE)
    await asyncio.gather(sent(ingress), sent(ingress))

    assert (ingress.policy.judge.probes, ingress.policy.judge.asked) == (1, [])
    assert all(not mail.verdict for mail in ingress.cellar.mails)
    assert len(ingress.cellar.mails) == 3
