"""Reports that came in are read once, and both messages know of each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from posthouse.mail.ids import new_id
from posthouse.storage.incoming import (
    ATTEMPTS_MAX,
    IncomingReport,
    Sent,
    count_abandoned,
    forget_read,
    give_back,
    mark_read,
    note_incoming,
    sent_as,
    sent_of,
    take_unread,
    tell,
)
from posthouse.storage.ledger import Branch, Kept, NewMail, enter, routed
from posthouse.storage.pool import Pool
from posthouse.storage.trace import timeline
from support.ledger import a_mail

pytestmark = pytest.mark.integration


@pytest.fixture
async def sent(pool: Pool) -> NewMail:
    """A mail that went to one outside and to one of ours."""
    mail = a_mail("bert@far.test", "anna@example.test", sender="carl@example.test")
    await enter(pool, [mail])
    out = Branch(road="remote", address="bert@far.test", domain="far.test")
    here = Branch(road="local", address="anna@example.test", account=1)
    await routed(pool, [(mail.id, Kept(0, out)), (mail.id, Kept(1, here))])
    return mail


async def test_a_note_is_made_once_and_taken_until_it_is_read(pool: Pool) -> None:
    note = IncomingReport(id=new_id(), size=7, subject=new_id(), recipient=3, address="b@far.test")

    await note_incoming(pool, [note])
    await note_incoming(pool, [IncomingReport(id=note.id, size=8)])

    assert await take_unread(pool) == note
    await mark_read(pool, note, "bounce", note.subject)
    assert await take_unread(pool) is None
    await note_incoming(pool, [note])
    assert await take_unread(pool) is None
    assert await forget_read(pool, timedelta(days=1)) == 0
    assert await forget_read(pool, timedelta(seconds=-1)) == 1


async def test_what_makes_us_fail_is_left_alone_after_some_attempts(pool: Pool) -> None:
    note = IncomingReport(id=new_id(), size=7)
    await note_incoming(pool, [note])
    for _ in range(ATTEMPTS_MAX - 1):
        assert await take_unread(pool) == note

    assert await take_unread(pool) == note
    await give_back(pool, note)
    assert await take_unread(pool) == note
    assert await take_unread(pool) is None
    assert await count_abandoned(pool) == 1
    assert await forget_read(pool, timedelta(seconds=-1)) == 1


async def test_the_oldest_goes_first_and_one_that_fails_keeps_nobody(pool: Pool) -> None:
    bad, good = IncomingReport(id=new_id(), size=7), IncomingReport(id=new_id(), size=8)
    await note_incoming(pool, [bad])
    await note_incoming(pool, [good])
    for _ in range(ATTEMPTS_MAX):
        assert await take_unread(pool) == bad

    assert await take_unread(pool) == good


async def test_what_was_sent_is_found_by_its_id_and_by_its_message_id(
    pool: Pool, sent: NewMail
) -> None:
    outside = (Sent(id=sent.id, n=0, address="bert@far.test", sender="carl@example.test"),)

    assert await sent_of(pool, sent.id) == outside
    assert await sent_as(pool, sent.message_id) == outside
    assert await sent_as(pool, "<nobody@knows.test>") == await sent_as(pool, "") == ()


async def test_both_messages_tell_of_each_other(pool: Pool, sent: NewMail) -> None:
    bounce = a_mail("carl@example.test", sender="")
    await enter(pool, [bounce])
    note = IncomingReport(id=bounce.id, size=7)
    await note_incoming(pool, [note])
    (to,) = await sent_of(pool, sent.id)

    await tell(pool, to, "bounce came back", f"5.1.1 nobody\0; report {bounce.id}")
    await mark_read(pool, note, "bounce", sent.id)

    told, came = await timeline(pool, sent.id), await timeline(pool, bounce.id)
    assert told is not None
    assert came is not None
    event = told.events[-1]
    assert (event.what, event.recipient, event.service) == ("bounce came back", 0, "postmaster")
    assert str(bounce.id) in event.detail
    assert came.events[0].detail == f"smtp from 192.0.2.1 far.test; a report on {sent.id}"


async def test_of_a_message_that_left_the_ledger_nothing_is_told(pool: Pool) -> None:
    gone = Sent(id=new_id(), n=0, address="bert@far.test", sender="carl@example.test")

    await tell(pool, gone, "bounce came back", "")

    assert await sent_of(pool, gone.id) == ()
    assert await timeline(pool, gone.id) is None
