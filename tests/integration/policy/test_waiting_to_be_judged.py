"""What nobody can judge at routing waits, as mail that a server outside does not take yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from msgspec import structs

from posthouse.bus.moves import Ack, Wait
from posthouse.mail.envelope import Inbound
from posthouse.mail.timetable import Timetable
from posthouse.storage import ledger
from posthouse.storage.ledger import Changed, Choice
from posthouse.storage.pool import Row, Tx, transaction
from support.late_judging import ANNA, BERT, Scanner, unjudged
from support.routing import Post

pytestmark = pytest.mark.integration

FIVE, QUARTER = timedelta(minutes=5), timedelta(minutes=15)


async def test_it_waits_for_a_scanner_that_is_away_longer_each_time(
    post: Post, scanner: Scanner
) -> None:
    scanner.is_away = True
    mail, other = await unjudged(post, BERT), await post.accepted(BERT)

    first, sent = await post.routing.route([mail, other])
    assert (first, sent) == (Wait(FIVE, structs.replace(mail, attempts=1)), Ack())
    [waiter] = await ledger.list_waiting(post.pool, Choice())
    assert (waiter.id, waiter.recipient, waiter.state, waiter.attempts) == (
        mail.id, BERT, "deferred", 1,
    )  # fmt: skip
    assert (waiter.status, waiter.reply) == (
        "451 4.7.1",
        "Message cannot be judged now, try again later",
    )
    early = await post.routing.route([structs.replace(mail, attempts=1)])
    await _hurry(post)
    second = await post.routing.route([structs.replace(mail, attempts=1)])
    scanner.is_away = False
    await _hurry(post)
    assert await post.routing.route([structs.replace(mail, attempts=2)]) == [Ack()]

    [move] = early
    assert isinstance(move, Wait)
    assert timedelta(minutes=4) < move.delay <= FIVE
    assert second == [Wait(QUARTER, structs.replace(mail, attempts=2))]
    assert [envelope.id for _, envelope in post.sent] == [other.id, mail.id]
    assert await ledger.list_waiting(post.pool, Choice()) == []
    assert [(row["attempts"], row["reply"]) for row in await _rows(post, mail)] == [(0, None)]


async def _hurry(post: Post) -> None:
    """Have time pass."""
    await post.pool.execute("update recipients set next_attempt_at = now()")


async def _rows(post: Post, mail: Inbound) -> Sequence[Row]:
    return await post.pool.fetch("select * from recipients where envelope = $1", mail.id)


async def test_when_its_time_has_run_out_the_account_is_told_why(
    post: Post, scanner: Scanner
) -> None:
    scanner.is_away = True
    over = Timetable(delays=(FIVE,), warn_after=None, give_up=timedelta())
    post.judge_late(scanner.bench, over)
    mail = await unjudged(post, BERT, "x@far.test", sender="boss@other.test")

    assert await post.routing.route([mail]) == [Ack()]
    assert await post.routing.route([mail]) == [Ack()]

    [report] = post.told
    assert isinstance(report, Inbound)
    assert [to.address for to in report.recipients] == [ANNA]  # never whom it named as sender
    text = await post.blobs.get(report.blob)
    assert b"cannot be judged now" in text
    assert b"Status: 4.7.1" in text
    assert [state for _, _, state, _ in await post.states(mail)] == ["bounced"] * 2
    assert post.sent == []


async def test_the_account_is_warned_once_that_it_takes_longer(
    post: Post, scanner: Scanner
) -> None:
    scanner.is_away = True
    warns = Timetable(delays=(FIVE,), warn_after=timedelta(), give_up=timedelta(days=5))
    post.judge_late(scanner.bench, warns)
    mail = await unjudged(post, BERT)

    [first] = await post.routing.route([mail])
    assert isinstance(first, Wait)
    assert first.envelope == structs.replace(mail, attempts=1, warned=True)
    await _hurry(post)
    await post.routing.route([first.envelope])

    [warning] = post.told
    assert b"Action: delayed" in await post.blobs.get(warning.blob)


async def test_an_operator_may_hold_what_waits_and_let_it_go(post: Post, scanner: Scanner) -> None:
    scanner.is_away = True
    mail = await unjudged(post, BERT)
    await post.routing.route([mail])

    await _decide(post, mail, ledger.hold)
    scanner.is_away = False
    assert await post.routing.route([structs.replace(mail, attempts=1)]) == [Ack()]
    assert post.sent == []
    let_go = await _decide(post, mail, ledger.let_go)
    found = await ledger.all_envelopes_at(post.pool, let_go.due)
    assert found == [structs.replace(mail, attempts=1)]
    assert await post.routing.route([structs.replace(mail, attempts=1)]) == [Ack()]

    assert [envelope.id for _, envelope in post.sent] == [mail.id]


async def _decide(
    post: Post, mail: Inbound, what: Callable[[Tx, Sequence[ledger.Place]], Awaitable[Changed]]
) -> Changed:
    async with transaction(post.pool) as tx:
        return await what(tx, [(mail.id, 0)])


async def test_what_an_operator_deletes_meanwhile_is_not_judged(
    post: Post, scanner: Scanner
) -> None:
    mail = await unjudged(post, BERT)
    await _decide(post, mail, ledger.delete)

    assert await post.routing.route([mail]) == [Ack()]

    assert scanner.seen == []
