"""Greylisting by several pods, on a real PostgreSQL: who waits, who passes, who is spared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Judgement
from posthouse.authenticity.dkim import Dkim
from posthouse.mail.address import parse_address
from posthouse.mail.ids import new_id
from posthouse.storage import directory, greylisting
from posthouse.storage.access import Entry, put_entry
from posthouse.storage.greylisting import (
    GreylistTerms,
    Triplet,
    ask_greylist,
    greylisted,
    note_good,
    set_greylisting,
    tidy_greylist,
)
from posthouse.storage.pool import Pool
from support.doorway import ANNA, EVE, OURS, Door, open_door
from support.names import FakeNames
from support.plans import kept_plan
from support.postmaster import until
from support.routing import RETURNS

pytestmark = pytest.mark.integration

WAITS, PASSES = (451, "greylist"), (250, "account")
LATER = "update greylist set first_at = first_at - $1::interval, expires_at = expires_at - $1::interval, passed_at = passed_at - $1::interval"
FIRST = [
    ("greylist_pkey", "key"), ("greylist_recipient", "recipient"), ("greylist_known_pkey", "network"),
]  # fmt: skip
NO_NAMES = FakeNames({})


@pytest.fixture(autouse=True)
async def _people(pool: Pool) -> None:
    await directory.add_domain(pool, "example.test")
    await directory.add_domain(pool, "other.test")
    for address in (ANNA, "bert@example.test", "carl@other.test"):
        await directory.add_account(pool, address, "x", None)


@pytest.fixture
async def door(pool: Pool) -> AsyncIterator[Door]:
    async with open_door(pool, NO_NAMES, greylisting=True) as opened:
        yield opened


async def after(pool: Pool, time: timedelta) -> None:
    """Let time pass for the rows."""
    await pool.execute(LATER, time)
    await pool.execute("update greylist_known set counted_at = counted_at - $1::interval", time)


async def test_who_comes_again_at_another_pod_passes(pool: Pool) -> None:
    async with open_door(pool, NO_NAMES, greylisting=True) as first:
        assert await first.says() == WAITS
        assert await first.says(client="203.0.113.77") == WAITS, "the same network"

        async with open_door(pool, NO_NAMES, greylisting=True) as second:
            assert await second.says() == WAITS, "too soon"
        await after(pool, timedelta(minutes=6))
        async with open_door(pool, NO_NAMES, greylisting=True) as second:
            assert await second.says(client="203.0.113.77") == PASSES
            assert await second.says("bert@example.test") == WAITS, "somebody else"

    [known] = await greylisted(pool, recipient=ANNA)
    assert (known.network, known.sender) == ("203.0.113.0/24", EVE)
    assert known.passed_at is not None


async def test_two_pods_that_ask_at_once_agree(pool: Pool) -> None:
    terms = GreylistTerms()
    triplets = [
        Triplet(network="203.0.113.0/24", sender=f"s{n}@far.test", recipient=ANNA)
        for n in range(50)
    ]

    answers = await asyncio.gather(
        ask_greylist(pool, triplets, terms), ask_greylist(pool, triplets[::-1], terms)
    )

    for found in answers:
        assert set(found) == {each.key for each in triplets}
        assert all(0 < waiting.seconds <= 300 for waiting in found.values())
    assert await pool.fetchval("select count(*) from greylist") == 50


async def test_one_triplet_that_two_pods_meet_at_once_is_one_row_and_passes_at_both(
    pool: Pool,
) -> None:
    async with (
        open_door(pool, NO_NAMES, greylisting=True) as first,
        open_door(pool, NO_NAMES, greylisting=True) as second,
    ):
        both = [door.says(client=f"203.0.113.{n}") for n in (1, 2) for door in (first, second)]
        assert await asyncio.gather(*both) == 4 * [WAITS]
        assert await pool.fetchval("select count(*) from greylist") == 1
    await after(pool, timedelta(minutes=6))
    async with (
        open_door(pool, NO_NAMES, greylisting=True) as first,
        open_door(pool, NO_NAMES, greylisting=True) as second,
    ):
        assert list(await asyncio.gather(first.says(), second.says())) == 2 * [PASSES]
    [row] = await greylisted(pool)
    assert row.passed_at is not None
    assert await pool.fetchval("select max(successes) from greylist_known") == 1, "counted once"


async def test_a_plan_made_for_a_few_rows_finds_each_of_many_by_itself(pool: Pool) -> None:
    who, terms = Triplet(network="n", sender=EVE, recipient=ANNA), GreylistTerms()
    await ask_greylist(pool, [who], terms)
    await note_good(pool, [("n", "far.test")], terms.lifetime)
    await pool.execute("analyze greylist, greylist_known")

    plan = await kept_plan(
        pool,
        greylisting._ASK,
        "uuid[], text[], text[], text[], text[], interval, interval, interval, int, int",
        "array[gen_random_uuid()], '{n}', '{s}', '{r}', '{d}', '5 min', '2 days', '36 days', 5, 2",
    )

    scans = [(scan, by) for scan, by in pairwise(plan) if "Index Cond" in by]
    assert len(scans) == 3, plan
    for scan, by in scans:  # never an index that is read from end to end
        assert any(f"using {index} " in scan and f"{first} = a" in by for index, first in FIRST), (
            plan
        )


async def test_who_comes_too_late_begins_anew_and_who_stays_away_is_forgotten(pool: Pool) -> None:
    terms, who = GreylistTerms(), Triplet(network="n", sender=EVE, recipient=ANNA)

    async def waits() -> float:
        return (await ask_greylist(pool, [who], terms))[who.key].seconds

    assert await waits() > 0
    await after(pool, timedelta(days=2, minutes=1))
    assert await waits() > 0
    await after(pool, timedelta(minutes=5, seconds=1))
    assert await waits() == 0
    await after(pool, timedelta(days=35))
    assert await waits() == 0, "each use makes it live on"
    await after(pool, timedelta(days=35))
    assert await waits() == 0
    await after(pool, timedelta(days=37))
    assert await tidy_greylist(pool) == 1
    assert await waits() > 0


async def test_a_network_whose_mail_came_again_is_known(pool: Pool) -> None:
    terms = GreylistTerms(successes=3)
    for n in range(3):
        who = Triplet(network="n", sender=f"s{n}@d{n}.test", recipient=ANNA)
        await ask_greylist(pool, [who], terms)
        await after(pool, timedelta(minutes=61))
        found = (await ask_greylist(pool, [who], terms))[who.key]
        assert (found.seconds, found.is_known) == (0, False)

    new = Triplet(network="n", sender="new@new.test", recipient=ANNA)
    other = Triplet(network="m", sender="new@new.test", recipient=ANNA)
    found_all = await ask_greylist(pool, [new, other], terms)
    assert found_all[new.key].is_known
    assert found_all[other.key].seconds > 0


async def test_one_letter_to_many_counts_once_for_its_network(pool: Pool) -> None:
    terms = GreylistTerms(successes=3)
    many = [Triplet(network="n", sender=EVE, recipient=f"r{n}@example.test") for n in range(9)]
    await ask_greylist(pool, many, terms)
    await after(pool, timedelta(minutes=6))
    for each in many:
        assert (await ask_greylist(pool, [each], terms))[each.key].seconds == 0

    new = Triplet(network="n", sender="new@new.test", recipient=ANNA)
    assert (await ask_greylist(pool, [new], terms))[new.key].seconds > 0
    of_domain = Triplet(network="n", sender="other@far.test", recipient=ANNA)
    assert (await ask_greylist(pool, [of_domain], terms))[of_domain.key].is_known


async def test_who_is_spared(pool: Pool, door: Door) -> None:
    answer = RETURNS.signed(parse_address(ANNA), new_id())
    assert answer is not None

    assert await door.says(sender=ANNA, auth=ANNA) == PASSES
    assert await door.says(client=OURS) == PASSES
    assert await door.says(is_relay=True) == PASSES
    assert await door.says("postmaster@example.test") == (250, "postmaster")
    assert await door.says(answer, "") == PASSES
    assert await door.says("nobody@example.test") == (550, "unknown recipient")
    assert await door.says(sender="") == WAITS, "a bounce comes again, too"
    assert await pool.fetchval("select count(*) from greylist") == 1


async def test_a_sender_that_spf_proves_is_spared_unless_one_will_not(pool: Pool) -> None:
    names = FakeNames({"far.test": {"TXT": ["v=spf1 ip4:203.0.113.0/24 -all"]}})

    async with open_door(pool, names, greylisting=True) as door:
        assert await door.says() == PASSES
        assert await door.says(client="198.51.100.1") == WAITS
    async with open_door(pool, names, greylisting=True, greylisting_spares_spf=False) as door:
        assert await door.says() == WAITS


async def test_who_is_on_an_allow_list_or_has_sent_good_mail_is_spared(
    pool: Pool, door: Door
) -> None:
    await put_entry(pool, Entry(whose="*", kind="client", key="198.51.100.0/24", action="allow"))
    await note_good(pool, [("203.0.113.0/24", "far.test")], timedelta(days=1))

    assert await door.says(client="198.51.100.9") == (250, "allow list")
    assert await door.says() == PASSES
    assert await door.says(sender="eve@other.far.test") == WAITS


async def test_a_domain_has_its_own_will(pool: Pool, door: Door) -> None:
    await set_greylisting(pool, "other.test", enabled=False)
    assert await door.says("carl@other.test") == PASSES
    assert await door.says() == WAITS

    await set_greylisting(pool, "example.test", enabled=True)
    async with open_door(pool, NO_NAMES, greylisting=False) as off:
        assert await off.says() == WAITS
        await set_greylisting(pool, "example.test", enabled=None)
    async with open_door(pool, NO_NAMES, greylisting=False) as off:
        assert await off.says() == PASSES


async def test_who_only_asks_what_would_be_is_told_and_not_noted(pool: Pool, door: Door) -> None:
    assert await door.says(is_trial=True) == WAITS
    assert await pool.fetchval("select count(*) from greylist") == 0
    assert await door.says() == WAITS
    await after(pool, timedelta(minutes=6))
    assert await door.says(is_trial=True) == PASSES
    assert await pool.fetchval("select passed_at from greylist") is None


async def test_good_signed_mail_makes_its_network_known(pool: Pool, door: Door) -> None:
    assert await door.says() == WAITS
    octets = b"From: <eve@far.test>\r\n\r\nhi\r\n"
    signed = Dkim(result="pass", domain="far.test")
    good = Judged(
        case=Case(
            id=new_id(), client="203.0.113.9", sender=EVE, octets=octets, size=len(octets),
            senders=Authenticated(signatures=(signed,)),
        ),
        judgement=Judgement(action="accept", score=0),
    )  # fmt: skip

    door.doorway.history(replace(good, judgement=Judgement(action="tag", score=9, is_spam=True)))
    door.doorway.history(replace(good, case=replace(good.case, sender="eve@near.test")))
    assert await door.says("bert@example.test") == WAITS
    door.doorway.history(good)
    await until(lambda: pool.fetchval("select count(*) from greylist_known"), "it was noted")

    assert await door.says("bert@example.test", "other@far.test") == PASSES
    assert await door.says("bert@example.test", "other@near.test") == WAITS


async def test_a_warm_pod_answers_from_memory(pool: Pool, door: Door) -> None:
    assert await door.says() == WAITS
    await pool.execute("delete from greylist")
    assert await door.says() == WAITS
    assert await pool.fetchval("select count(*) from greylist") == 0
