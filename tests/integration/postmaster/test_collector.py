"""The collector over a real store: what goes, what stays, and what the operator is told first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.blobs import open_blobs
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import new_id, object_key, unjudged_key
from posthouse.storage.filing import file
from posthouse.storage.pool import duty_lock
from postmaster.duties import names
from postmaster.duties.collector import Tally, tidy_unjudged, walk
from support.filings import accepted, add_accounts
from support.postmaster import LivePostmaster
from support.servers import S3Store

pytestmark = pytest.mark.integration

AT_ONCE = timedelta(0)
DAY = timedelta(days=1)


async def _stored(clerk: LivePostmaster, ident: UUID) -> str:
    await clerk.parts.blobs.put(object_key(ident), b"x" * 10)
    return object_key(ident)


async def _keys(clerk: LivePostmaster) -> set[str]:
    return {each.key async for each in clerk.parts.blobs.list()}


async def _walked(clerk: LivePostmaster, quarantine: timedelta, *, dry_run: bool = False) -> Tally:
    tally = Tally()
    async for step in walk(clerk.pool, clerk.parts.blobs, quarantine, dry_run=dry_run):
        tally = step
    return tally


def _from(days_ago: float) -> UUID:
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    return new_id(int(moment.timestamp() * 1000))


async def test_only_what_nobody_needs_goes(clerk: LivePostmaster) -> None:
    account = (await add_accounts(clerk.pool, "anna"))["anna"]
    [filed] = await accepted(clerk.pool, account)
    await file(clerk.pool, [filed])
    [waiting] = await accepted(clerk.pool, account)
    living = {await _stored(clerk, each.id) for each in (filed, waiting)}
    orphan = await _stored(clerk, new_id())
    await clerk.parts.blobs.put("mail/not-ours.txt", b"")
    await clerk.parts.blobs.put(f"mail/2001/01/01/{new_id()}.eml", b"")  # its name lies
    await clerk.parts.blobs.put("check/alive", b"")
    before = await _keys(clerk)

    assert await _walked(clerk, AT_ONCE, dry_run=True) == Tally(seen=5, gone=1, octets=10)
    assert await _keys(clerk) == before

    assert await _walked(clerk, AT_ONCE) == Tally(seen=5, gone=1, octets=10)
    assert await _keys(clerk) == before - {orphan}
    assert living < before
    assert (await _walked(clerk, AT_ONCE)).gone == 0


async def test_what_was_stored_just_now_stays_whatever_its_id_says(clerk: LivePostmaster) -> None:
    young, old_id = await _stored(clerk, new_id()), await _stored(clerk, _from(days_ago=30))

    assert (await _walked(clerk, DAY)).gone == 0
    assert await _keys(clerk) >= {young, old_id}


async def test_a_message_as_it_came_stays_until_it_is_judged(clerk: LivePostmaster) -> None:
    account = (await add_accounts(clerk.pool, "anna"))["anna"]
    [judged] = await accepted(clerk.pool, account)
    [waiting] = await accepted(clerk.pool, account)
    ended, nobodys = new_id(), f"unjudged/{new_id()}.eml"
    await clerk.pool.execute("update envelopes set unjudged = true where id = $1", waiting.id)
    keys = [unjudged_key(each) for each in (judged.id, waiting.id, ended)]
    for key in (*keys, nobodys):
        await clerk.parts.blobs.put(key, b"x")

    await tidy_unjudged(clerk.pool, clerk.parts.blobs, DAY)
    assert await _keys(clerk) == {*keys, nobodys}
    await tidy_unjudged(clerk.pool, clerk.parts.blobs, AT_ONCE)

    assert await _keys(clerk) == {unjudged_key(waiting.id), nobodys}


async def test_a_store_of_many_pages_is_walked_whole(
    clerk: LivePostmaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postmaster.duties.collector.BITE", 3)
    for _ in range(10):
        await _stored(clerk, new_id())

    assert (await _walked(clerk, AT_ONCE)).gone == 10
    assert await _walked(clerk, AT_ONCE) == Tally()


async def test_s3_objects_go_too(clerk: LivePostmaster, s3_store: S3Store) -> None:
    ident = new_id()
    async with open_blobs(s3_store.store, s3_store.access_key, s3_store.secret_key) as bucket:
        await bucket.put(object_key(ident), b"octets")
        async for tally in walk(clerk.pool, bucket, AT_ONCE, dry_run=False):
            assert tally == Tally(seen=1, gone=1, octets=6)
        with pytest.raises(MissingObject):
            await bucket.get(object_key(ident))


async def test_the_operator_asks_first_and_collects_then(clerk: LivePostmaster) -> None:
    await _stored(clerk, new_id())

    first = await clerk.cli("store", "collect", "--dry-run")
    told = await clerk.cli("store", "collect", "--json")

    assert "1 objects seen, 0 would go (0 B)." in first.stdout, first.output
    assert json.loads(told.stdout) == {"seen": 1, "gone": 0, "octets": 0, "done": True}


async def test_two_do_not_collect_at_once(clerk: LivePostmaster) -> None:
    async with duty_lock(clerk.pool, names.OBJECTS) as mine:
        assert mine
        refused = await clerk.cli("store", "collect")
        asked = await clerk.cli("store", "collect", "--dry-run")

    assert refused.exit_code != 0
    assert "another collector is at work" in refused.stderr
    assert asked.exit_code == 0, asked.output
