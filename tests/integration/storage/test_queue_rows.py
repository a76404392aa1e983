"""What operators decide of mail that waits: which rows it finds, what it changes, and only once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from posthouse.mail.envelope import Remote
from posthouse.mail.outcome import Bounced, Deferred, Discarded, Outcome, Relayed
from posthouse.mail.status import NO_SUCH_USER
from posthouse.storage import ledger
from posthouse.storage.ledger import Branch, Changed, Choice, Claims, Kept, Settlement, Walk
from posthouse.storage.pool import Pool, transaction
from support.ledger import a_mail, rows_of, states_of
from support.waiting import AWAY, decided, deferred, is_true

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)
ALL = Choice()


@pytest.mark.parametrize(
    "end",
    [
        Relayed(n=0, host="mx", reply="250 ok"),
        Bounced(n=0, status=NO_SUCH_USER, reply="unknown"),
        Discarded(n=0, rule="double bounce"),
        None,
    ],
)
async def test_who_is_deferred_waits_until_the_end_whatever_it_is(
    pool: Pool, end: Outcome | None
) -> None:
    ident = await deferred(pool, "bert@b.test")
    assert await ledger.count_waiting(pool, ALL) == 1

    if end is None:
        await ledger.mark_dead(pool, ident, "a bug")
        assert await ledger.count_waiting(pool, ALL) == 0
        async with transaction(pool) as tx:
            await ledger.revive(tx, [(ident, 0)])
    else:
        await ledger.settle(pool, ident, [end], 4)

    assert await ledger.count_waiting(pool, ALL) == (1 if end is None else 0)
    assert await is_true(pool)


async def test_mail_that_was_never_deferred_has_no_row(pool: Pool) -> None:
    mail = a_mail("bert@b.test", "dora@b.test")
    await ledger.enter(pool, [mail])
    to = [Branch(road="remote", address=a.address, domain="b.test") for a in mail.recipients]
    await ledger.routed(pool, [(mail.id, Kept(n, branch)) for n, branch in enumerate(to)])
    await ledger.settle(pool, mail.id, [Relayed(n=0, host="mx", reply="250")], 1)

    assert await ledger.count_waiting(pool, ALL) == 0
    assert await ledger.count_waiting(pool, Choice(ids=(mail.id,))) == 1


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        (Choice(state="untried"), 2),
        (Choice(state="untried", domain="b.test"), 1),
        (Choice(state="untried", domain=".test"), 2),
        (Choice(state="untried", recipient="Bert@B.test"), 1),
        (Choice(state="untried", sender="@far.test"), 2),
        (Choice(state="untried", sender="null"), 0),
        (Choice(state="untried", older=HOUR), 0),
    ],
)
async def test_mail_that_was_never_tried_is_found_if_it_is_asked_for(
    pool: Pool, choice: Choice, count: int
) -> None:
    await deferred(pool, "anna@b.test", sender="anna@example.test")
    mail = a_mail("bert@b.test", "dora@c.test")
    await ledger.enter(pool, [mail])
    to = [
        Branch(road="remote", address=each.address, domain=each.address.partition("@")[2])
        for each in mail.recipients
    ]
    await ledger.routed(pool, [(mail.id, Kept(n, branch)) for n, branch in enumerate(to)])

    listed = await ledger.list_waiting(pool, choice)

    assert [each.state for each in listed] == ["routed"] * count
    assert await ledger.count_waiting(pool, choice) == count
    states = await ledger.count_by(pool, choice, "state", 5)
    assert states == ([("untried", count)] if count else [])
    assert len((await decided(pool, choice, ledger.hold)).places) == count
    assert await ledger.count_waiting(pool, Choice(state="held")) == count


FOUND = {
    "domain": (Choice(domain="B.test"), "b"),
    "below": (Choice(domain=".test"), "abc"),
    "not itself": (Choice(domain=".b.test"), ""),
    "sender": (Choice(sender="Anna@OURS.test"), "ab"),
    "domain of senders": (Choice(sender="@ours.test"), "ab"),
    "null sender": (Choice(sender="<>"), "c"),
    "recipient": (Choice(recipient="X@a.test"), "a"),
    "domain of recipients": (Choice(recipient="@b.test"), "b"),
    "tenant by login": (Choice(tenant="firm.test"), "a"),
    "tenant by sender": (Choice(tenant="ours.test"), "b"),
    "older": (Choice(older=2 * HOUR), "b"),
    "younger": (Choice(younger=2 * HOUR), "ac"),
    "reply": (Choice(reply="MAILBOX FULL"), "c"),
    "status": (Choice(reply="451 4.4.1"), "abc"),
    "a wildcard is a text": (Choice(reply="mail%full"), ""),
    "an ending is a text": (Choice(domain=".%est"), ""),
    "state": (Choice(state="held"), ""),
    "other state": (Choice(state="deferred"), "abc"),
    "all of them": (Choice(tenant="ours.test", older=HOUR, reply="away"), "b"),
}


@pytest.mark.parametrize(("choice", "found"), FOUND.values(), ids=FOUND.keys())
async def test_each_condition_finds_what_it_says(pool: Pool, choice: Choice, found: str) -> None:
    idents = {
        await deferred(pool, "x@a.test", sender="anna@ours.test", auth="anna@firm.test"): "a",
        await deferred(pool, "x@b.test", sender="anna@ours.test", age=3 * HOUR): "b",
        await deferred(pool, "x@c.test", sender="", reply="452 Mailbox full, sorry"): "c",
    }

    listed = await ledger.list_waiting(pool, choice)

    assert "".join(sorted(idents[each.id] for each in listed)) == found
    assert await ledger.count_waiting(pool, choice) == len(found)


async def test_pages_follow_each_other_without_gap_or_repetition(pool: Pool) -> None:
    for _ in range(3):
        await deferred(pool, "a@b.test", "c@b.test")
    seen = []
    after = ledger.BEFORE_ALL

    while page := await ledger.list_waiting(pool, Choice(domain="b.test"), after, 2):
        seen += [(each.id, each.n) for each in page]
        after = seen[-1]

    assert seen == sorted(seen)
    assert len(set(seen)) == 6


async def test_what_most_have_in_common_comes_first(pool: Pool) -> None:
    await deferred(pool, "a@b.test", "c@b.test")
    await deferred(pool, "a@c.test")

    assert await ledger.count_by(pool, ALL, "domain", 10) == [("b.test", 2), ("c.test", 1)]
    assert await ledger.count_by(pool, ALL, "status", 10) == [("451 4.4.1", 3)]
    assert await ledger.count_by(pool, ALL, "state", 10) == [("deferred", 3)]


async def test_what_is_held_is_on_no_road_until_it_is_released(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test")

    held = await decided(pool, ALL, ledger.hold)
    again = await decided(pool, ALL, ledger.hold)
    assert (len(held.places), again.places) == (1, ())
    assert await states_of(pool, ident) == {0: "held"}
    assert [batch async for batch in ledger.iterate_unsettled(pool, 10)] == []
    assert await is_true(pool)

    await pool.execute("update recipients set held_at = held_at - interval '3 hours'")
    released = await decided(pool, ALL, ledger.let_go)
    second = await decided(pool, ALL, ledger.let_go)
    (envelope,) = await ledger.envelopes_at(pool, released.due)

    assert (len(released.marks), second.places) == (1, ())
    assert envelope.paused // 3600 == 3
    assert envelope.released - envelope.arrived >= 3 * HOUR
    assert (await rows_of(pool, ident))[0]["next_attempt_at"] <= datetime.now(UTC)
    assert await is_true(pool)


async def _held_for_two_hours(pool: Pool) -> Changed:
    await decided(pool, ALL, ledger.hold)
    await pool.execute("update recipients set held_at = held_at - interval '2 hours'")
    return await decided(pool, ALL, ledger.let_go)


async def test_held_times_add_up(pool: Pool) -> None:
    await deferred(pool, "bert@b.test")
    released = [await _held_for_two_hours(pool) for _ in range(2)]

    (envelope,) = await ledger.envelopes_at(pool, released[-1].due)
    assert envelope.paused // 3600 == 4


async def test_what_is_retried_is_due_once_and_marked_once(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test", "dora@b.test")

    first = await decided(pool, ALL, ledger.retry)
    second = await decided(pool, ALL, ledger.retry)

    assert (len(first.places), len(first.marks), second.places) == (2, 1, ())
    marked = await ledger.claim_marked(pool, timedelta(0), 10)
    (envelope,) = marked.envelopes
    assert isinstance(envelope, Remote)
    assert (envelope.id, envelope.on_request) == (ident, True)
    assert (await ledger.claim_marked(pool, HOUR, 10)).marks == ()
    await ledger.unmark(pool, marked.marks)
    assert (await ledger.claim_marked(pool, timedelta(0), 10)).marks == ()


async def test_a_mark_goes_with_its_own_decision_only(pool: Pool) -> None:
    await deferred(pool, "bert@b.test")
    first = await decided(pool, ALL, ledger.retry)
    rerouted = await decided(pool, ALL, partial(ledger.reroute, via="smtp:relay.test:25"))

    await ledger.unmark(pool, first.marks)

    left = await ledger.claim_marked(pool, timedelta(0), 10)
    assert left.marks == rerouted.marks
    (envelope,) = left.envelopes
    assert isinstance(envelope, Remote)
    assert envelope.via == "smtp:relay.test:25"


async def test_a_mark_whose_work_was_done_meanwhile_publishes_nothing(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test")
    await decided(pool, ALL, ledger.retry)
    until = datetime.now(UTC) + HOUR
    away = Deferred(n=0, status=AWAY, reply="away", until=until)
    await ledger.settle(pool, ident, [away], 4)

    marked = await ledger.claim_marked(pool, timedelta(0), 10)

    assert (len(marked.marks), marked.envelopes) == (1, ())


async def test_a_reroute_divides_the_recipients_of_one_message(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test", "dora@b.test")
    choice = Choice(recipient="dora@b.test")

    rerouted = await decided(pool, choice, partial(ledger.reroute, via="smtp:relay.test:25"))
    again = await decided(pool, choice, partial(ledger.reroute, via="smtp:relay.test:25"))
    envelopes = [e async for batch in ledger.iterate_unsettled(pool, 10) for e in batch]

    assert (rerouted.places, again.places) == (((ident, 1),), ())
    ways = {
        (e.via, e.recipients[0].address, len(e.recipients))
        for e in envelopes
        if isinstance(e, Remote)
    }
    assert ways == {("", "bert@b.test", 1), ("smtp:relay.test:25", "dora@b.test", 1)}
    usual = await decided(pool, choice, partial(ledger.reroute, via=""))
    assert usual.places == ((ident, 1),)


async def test_what_is_rerouted_while_it_is_held_stays_held(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test")
    await decided(pool, ALL, ledger.hold)

    rerouted = await decided(pool, ALL, partial(ledger.reroute, via="smtp:relay.test:25"))

    assert (len(rerouted.places), rerouted.due, rerouted.marks) == (1, (), ())
    assert await states_of(pool, ident) == {0: "held"}


async def test_what_is_bounced_travels_once_more_with_the_reason(pool: Pool) -> None:
    await deferred(pool, "bert@b.test")
    await decided(pool, ALL, ledger.hold)

    bounced = await decided(pool, ALL, partial(ledger.bounce, text="not wanted"))
    again = await decided(pool, ALL, partial(ledger.bounce, text="not wanted"))
    (envelope,) = await ledger.envelopes_at(pool, bounced.due)

    assert (envelope.verdict, again.places) == ("not wanted", ())
    assert await is_true(pool)


async def test_what_is_deleted_ends_by_the_operators_rule(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test", "dora@c.test")

    deleted = await decided(pool, Choice(domain="b.test"), ledger.delete)
    again = await decided(pool, Choice(ids=(ident,), domain="b.test"), ledger.delete)

    row = (await rows_of(pool, ident))[0]
    assert (deleted.places, again.places) == (((ident, 0),), ())
    assert (row["state"], row["reply"]) == ("discarded", "operator")
    assert await states_of(pool, ident) == {0: "discarded", 1: "deferred"}
    assert await is_true(pool)


async def test_what_is_being_delivered_is_left_alone(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test")
    (batch,) = [batch async for batch in ledger.iterate_unsettled(pool, 10)]
    (envelope,) = batch
    assert isinstance(envelope, Remote)

    async with Claims(pool) as claims, claims.claim(envelope) as claim:
        assert claim is not None
        for decision in (ledger.hold, ledger.retry, ledger.delete):
            assert (await decided(pool, ALL, decision)).places == ()
    assert await states_of(pool, ident) == {0: "deferred"}


async def test_a_delivery_waits_for_a_decision_and_sees_it(pool: Pool) -> None:
    await deferred(pool, "bert@b.test")
    (batch,) = [batch async for batch in ledger.iterate_unsettled(pool, 10)]
    (envelope,) = batch
    assert isinstance(envelope, Remote)

    async with Claims(pool) as claims:
        async with transaction(pool) as tx:
            chosen = await ledger.choose(tx, ALL, Walk(began=datetime.now(UTC)), 10)
            assert await ledger.take(tx, chosen) == chosen
            await ledger.hold(tx, [each.place for each in chosen])
            async with claims.claim(envelope) as claim:
                assert claim is None
        async with asyncio.timeout(10), claims.claim(envelope) as claim:
            assert claim is not None
            assert [row.held for row in claim.open] == [True]


async def test_a_late_deferral_does_not_take_out_of_hold_but_an_end_is_an_end(pool: Pool) -> None:
    ident = await deferred(pool, "bert@b.test")
    await decided(pool, ALL, ledger.hold)

    late = Deferred(n=0, status=AWAY, reply="later", until=datetime.now(UTC) + HOUR)
    await ledger.settle(pool, ident, [late], 4)
    row = (await rows_of(pool, ident))[0]
    assert (row["state"], row["next_attempt_at"], row["reply"]) == ("held", None, "later")

    done = Settlement(id=ident, outcomes=(Relayed(n=0, host="mx", reply="250"),), attempts=5)
    await ledger.settle_many(pool, [done])
    assert await states_of(pool, ident) == {0: "relayed"}
    assert await is_true(pool)
