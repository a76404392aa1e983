"""The suppression list: who refused for good, or complained, is left alone for a while."""

from __future__ import annotations

from datetime import timedelta

import pytest

from posthouse.mail.ids import new_id
from posthouse.storage.directory import NoSuchEntry, add_account, add_domain
from posthouse.storage.directory.senders import Sender, set_sender
from posthouse.storage.pool import Pool
from posthouse.storage.suppressing import (
    Refusal,
    Terms,
    held_back,
    note_complaint,
    note_hard_bounce,
    release,
    suppress,
    suppressions,
    tidy_suppressions,
)

pytestmark = pytest.mark.integration

ANNA, BERT = "anna@example.test", "bert@far.test"
MONTH = timedelta(days=30)
TWICE, NEVER = Terms(2, MONTH), Terms(0, MONTH)


@pytest.fixture
async def house(pool: Pool) -> Pool:
    await add_domain(pool, "example.test")
    await add_domain(pool, "bulk.test")
    await add_account(pool, ANNA, "x")
    return pool


def _refusal(sender: str = ANNA) -> Refusal:
    return Refusal(sender=sender, address="Bert@Far.test", source=new_id(), why="550 5.1.1 nobody")


async def _is_held(pool: Pool, sender: str = ANNA, to: str = BERT) -> bool:
    return bool(await held_back(pool, [(sender, to)]))


async def test_the_bounce_too_many_puts_a_recipient_on_the_list(house: Pool) -> None:
    assert not await note_hard_bounce(house, _refusal(), TWICE)
    assert not await _is_held(house)

    assert await note_hard_bounce(house, _refusal("carl@example.test"), TWICE)

    (row,) = await suppressions(house)
    assert (row.address, row.whose, row.reason) == (BERT, "example.test", "bounces")
    assert row.expires_at is not None
    assert await held_back(house, [(ANNA, "BERT@far.test"), (ANNA, "x@far.test")]) == {
        (ANNA, "BERT@far.test"): "bounces"
    }
    assert not await _is_held(house, "x@bulk.test")


async def test_one_message_counts_once_however_often_it_is_told(house: Pool) -> None:
    refusal = _refusal()

    assert not await note_hard_bounce(house, refusal, TWICE)
    assert not await note_hard_bounce(house, refusal, TWICE)


async def test_a_sender_says_itself_how_many_and_strangers_are_not_counted(house: Pool) -> None:
    await set_sender(house, "bulk.test", Sender(suppress_after=1))
    await set_sender(house, ANNA, Sender(suppress_after=0))

    assert await note_hard_bounce(house, _refusal("news@bulk.test"), NEVER)
    assert not await note_hard_bounce(house, _refusal(), TWICE)
    assert not await note_hard_bounce(house, _refusal(), TWICE)
    assert not await note_hard_bounce(house, _refusal("x@far.test"), Terms(1, MONTH))
    assert not await note_complaint(house, _refusal("x@far.test"), Terms(1, MONTH))


async def test_one_complaint_does_where_bounces_do(house: Pool) -> None:
    assert not await note_complaint(house, _refusal(), NEVER)
    assert await note_complaint(house, _refusal(), TWICE)

    assert await held_back(house, [(ANNA, BERT)]) == {(ANNA, BERT): "complaint"}


async def test_an_operator_suppresses_for_one_for_a_domain_or_for_all(house: Pool) -> None:
    await suppress(house, BERT, ANNA, "asked us to")
    assert await _is_held(house)
    assert not await _is_held(house, "carl@example.test")

    await suppress(house, BERT, "*")
    assert await _is_held(house, "x@bulk.test")
    assert [row.whose for row in await suppressions(house, address="BERT@far.test")] == ["*", ANNA]
    assert len(await suppressions(house, whose="*")) == 1
    assert len(await suppressions(house, (BERT, "*"), 5)) == 1


async def test_what_an_operator_said_is_not_changed_by_a_bounce(house: Pool) -> None:
    await suppress(house, BERT, "example.test", "asked us to")

    assert await note_complaint(house, _refusal(), TWICE)

    (row,) = await suppressions(house)
    assert (row.reason, row.note, row.expires_at) == ("manual", "asked us to", None)


async def test_who_is_taken_off_begins_anew(house: Pool) -> None:
    for _ in range(2):
        await note_hard_bounce(house, _refusal(), TWICE)

    await release(house, "Bert@far.test", "Example.test")

    assert not await _is_held(house)
    assert not await note_hard_bounce(house, _refusal(), TWICE)
    with pytest.raises(NoSuchEntry):
        await release(house, BERT, "example.test")


async def test_the_list_forgets(house: Pool) -> None:
    await suppress(house, BERT, "*", lasts=timedelta(seconds=-1))
    await suppress(house, "x@far.test", "*")
    await note_hard_bounce(house, _refusal(), TWICE)

    assert not await _is_held(house)
    assert [row.address for row in await suppressions(house)] == ["x@far.test"]
    assert await tidy_suppressions(house, timedelta(seconds=-1)) == 2
    assert not await note_hard_bounce(house, _refusal(), TWICE)
