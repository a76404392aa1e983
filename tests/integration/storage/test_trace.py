"""Whoever asks what became of a message gets the whole story."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from posthouse.mail.ids import new_id
from posthouse.mail.outcome import Bounced, Deferred, Relayed
from posthouse.mail.status import NO_SUCH_USER, Status
from posthouse.storage.ledger import Branch, Expanded, Kept, enter, routed, settle
from posthouse.storage.pool import Pool, open_pool
from posthouse.storage.trace import Trace, find, timeline
from posthouse.storage.trace import notes as notes_module
from posthouse.telemetry import metrics
from support.ledger import a_mail

pytestmark = pytest.mark.integration

NOON_MS = 1_790_000_000_000


async def test_a_timeline_tells_everything_in_the_order_of_time(pool: Pool) -> None:
    mail = a_mail("team@example.test", "x@far.test", "gone@far.test")
    await enter(pool, [mail])
    out = Branch(road="remote", address="x@far.test", domain="far.test")
    await routed(
        pool,
        [
            (mail.id, Expanded(0, (Branch(road="local", address="anna@example.test", account=1),))),
            (mail.id, Kept(1, out)),
            (mail.id, Kept(2, out)),
        ],
    )
    async with Trace(pool, "delivery-remote") as trace:
        busy = Status(450, (4, 2, 0))
        later = Deferred(n=1, status=busy, reply="busy", until=datetime(2030, 1, 1, tzinfo=UTC))
        await settle(pool, mail.id, [later], 1)
        trace.note(mail.id, "deferred", recipient=1, detail="mx: 450 busy")
        await settle(pool, mail.id, [Relayed(n=1, host="mx.far.test", reply="250 ok")], 2)
        trace.note(mail.id, "relayed", recipient=1, detail="mx.far.test: 250 ok")
        await settle(pool, mail.id, [Bounced(n=2, status=NO_SUCH_USER, reply="unknown")], 1)

    told = await timeline(pool, mail.id)

    assert told is not None
    assert (told.envelope.client, told.envelope.message_id) == (mail.client, mail.message_id)
    assert [(event.what, event.recipient, event.detail) for event in told.events] == [
        ("accepted", None, "smtp from 192.0.2.1 far.test"),
        ("routed", 0, "to the mailbox of anna@example.test"),
        ("routed", 1, "to x@far.test at far.test"),
        ("routed", 2, "to x@far.test at far.test"),
        ("deferred", 1, "mx: 450 busy"),
        ("relayed", 1, "mx.far.test: 250 ok"),
        ("bounced", 2, "550 5.1.1 unknown"),
    ]
    assert [event.at for event in told.events] == sorted(event.at for event in told.events)
    assert [(r.n, r.state) for r in told.recipients] == [
        (0, "expanded"),
        (1, "relayed"),
        (2, "bounced"),
        (3, "routed"),
    ]


async def test_an_unknown_message_has_no_timeline(pool: Pool) -> None:
    assert await timeline(pool, new_id()) is None


async def test_messages_are_found_by_what_is_known_of_them_newest_first(pool: Pool) -> None:
    mails = [
        a_mail("anna@example.test", f"u{k}@far.test", ident=new_id(NOON_MS + k * 40_000_000))
        for k in range(7)  # over several days
    ]
    await enter(pool, [*mails, a_mail("bert@example.test", sender="other@far.test")])
    newest_first = [mail.id for mail in reversed(mails)]

    by_sender = await find(pool, sender="carl@far.test")
    by_recipient = await find(pool, recipient="anna@example.test", limit=3)
    next_page = await find(pool, recipient="anna@example.test", limit=9, after=by_recipient[-1].id)
    by_message_id = await find(pool, message_id=mails[3].message_id)

    assert [found.id for found in by_sender] == newest_first
    assert [found.id for found in (*by_recipient, *next_page)] == newest_first
    assert [(found.id, found.recipients) for found in by_message_id] == [
        (mails[3].id, ("anna@example.test", "u3@far.test"))
    ]
    assert await find(pool, sender="nobody@far.test") == ()


async def test_a_message_is_found_by_whom_an_alias_stands_for(pool: Pool) -> None:
    mail = a_mail("team@example.test")
    await enter(pool, [mail])
    child = Branch(road="local", address="anna@example.test", account=1)
    await routed(pool, [(mail.id, Expanded(0, (child,)))])

    found = await find(pool, recipient="anna@example.test")

    assert [(one.id, one.recipients) for one in found] == [(mail.id, ("team@example.test",))]


async def test_one_thing_at_most_may_be_known(pool: Pool) -> None:
    with pytest.raises(ValueError, match="at most"):
        await find(pool, sender="a@b.test", recipient="c@d.test")


async def test_notes_are_written_when_the_service_stops(pool: Pool) -> None:
    ident = new_id()

    async with Trace(pool, "imap-gateway") as trace:
        for n in range(1200):
            trace.note(ident, "read", detail=f"{n} \0 \udc80")

    assert await pool.fetchval("select count(*) from events where envelope = $1", ident) == 1200


async def test_too_many_notes_are_dropped_and_counted_and_never_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notes_module, "BUFFERED_MAX", 10)
    before = dropped()
    async with (
        open_pool("postgresql://postgres@127.0.0.1:1/nowhere") as nowhere,
        Trace(nowhere, "delivery-local") as trace,
    ):
        for _ in range(25):
            trace.note(new_id(), "read")
        assert dropped() - before == 15

    assert dropped() - before == 25


def dropped() -> float:
    for line in metrics.exposition().decode().splitlines():
        if line.startswith("posthouse_trace_notes_dropped_total "):
            return float(line.split()[1])
    raise AssertionError("no such metric")
