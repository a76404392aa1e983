"""``posthouse queue`` against a live API: what an operator types, sees, and what is done."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from typer.testing import Result

from posthouse.bus.depths import depths
from posthouse.bus.topology import remote_road
from posthouse.storage import ledger
from posthouse.storage.ledger import Choice
from support.ledger import states_of
from support.postmaster import LivePostmaster, until
from support.waiting import deferred, is_true

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


async def done(live: LivePostmaster, *arguments: str) -> str:
    result = await live.cli(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(live: LivePostmaster, *arguments: str) -> str:
    result: Result = await live.cli(*arguments)
    assert result.exit_code != 0, result.output
    assert "Traceback" not in result.output
    return result.stderr


async def on_the_road(live: LivePostmaster, domain: str) -> int:
    found = await depths(live.broker)
    return next(depth.ready or 0 for depth in found if depth.queue == remote_road(domain))


async def test_the_queue_is_listed_counted_and_paged(clerk: LivePostmaster) -> None:
    first = await deferred(clerk.pool, "a@b.test", "c@b.test", sender="anna@ours.test")
    await deferred(clerk.pool, "a@c.test", sender="", reply="452 [bold]mailbox full")

    table = await done(clerk, "queue", "list")
    page = json.loads(await done(clerk, "queue", "list", "--limit", "2", "--json"))
    rest = await done(clerk, "queue", "list", "--after", page["next"], "--json")
    counted = await done(clerk, "queue", "count", "--by", "domain")

    assert "anna@ours.test" in table
    assert "452 [bold]mailbox full" in table
    assert [(row["id"], row["n"]) for row in page["items"]] == [(str(first), 0), (str(first), 1)]
    assert page["count"] == 3
    assert [row["recipient"] for row in json.loads(rest)["items"]] == ["a@c.test"]
    assert "Waiting: 3 recipients." in counted
    assert "b.test" in counted.splitlines()[2]
    assert "Nothing waits that fits." in await done(clerk, "queue", "list", "--domain", "x.test")
    assert "Waiting: 1 recipient." in await done(clerk, "queue", "count", "--sender", "null")


async def test_what_is_wrong_is_said_and_nothing_is_done(clerk: LivePostmaster) -> None:
    ident = await deferred(clerk.pool, "a@b.test")

    assert "--all" in await refused(clerk, "queue", "hold")
    assert "--yes" in await refused(clerk, "queue", "hold", "--domain", "b.test")
    assert "older" in await refused(clerk, "queue", "list", "--older", "long")
    assert "state" in await refused(clerk, "queue", "count", "--state", "lost")
    assert "to" in await refused(clerk, "queue", "reroute", "--all", "--to", "no hop", "--yes")
    assert "id" in await refused(clerk, "queue", "hold", "7", "--yes")
    answer = await clerk.http.post("/queue/hold", json={})
    assert (answer.status_code, "all" in answer.json()["detail"]) == (422, True)
    answer = await clerk.http.post("/queue/bounce", json={"all": True})
    assert answer.status_code == 422
    assert await states_of(clerk.pool, ident) == {0: "deferred"}
    assert json.loads(await done(clerk, "audit", "list", "--json")) == []


async def test_a_dry_run_says_how_many_and_changes_nothing(clerk: LivePostmaster) -> None:
    ident = await deferred(clerk.pool, "a@b.test", "c@b.test")

    said = await done(clerk, "queue", "delete", "--domain", "b.test", "--dry-run")

    assert said == "2 recipients would be deleted.\n"
    assert await states_of(clerk.pool, ident) == {0: "deferred", 1: "deferred"}


async def test_hold_and_release_are_carried_out_audited_and_traced(
    postmaster: LivePostmaster,
) -> None:
    ident = await deferred(postmaster.pool, "a@b.test")
    await deferred(postmaster.pool, "a@c.test")

    held = await done(postmaster, "queue", "hold", "--domain", "b.test", "--yes")
    again = await done(postmaster, "queue", "hold", "--domain", "b.test", "--yes")
    listed = await done(postmaster, "queue", "list", "--state", "held")
    released = await done(postmaster, "queue", "release", "--all", "--yes")

    assert held.startswith("1 recipient held (audit ")
    assert again.startswith("0 recipients held")
    assert "held after 3 tries, since 20" in listed
    assert "a@c.test" not in listed
    assert released.startswith("1 recipient released")
    assert await states_of(postmaster.pool, ident) == {0: "deferred"}
    await until(lambda: _has(postmaster, "b.test", 1), "not published")
    entries = json.loads(await done(postmaster, "audit", "list", "--json"))
    assert [(e["action"], e["found"], e["changed"]) for e in entries] == [
        ("queue release", 1, 1), ("queue hold", 0, 0), ("queue hold", 1, 1),
    ]  # fmt: skip
    assert {entry["chosen"] for entry in entries} == {"--all", "--domain b.test"}
    assert all(entry["ended_at"] for entry in entries)
    assert "queue hold" in await done(postmaster, "audit", "list")
    trace = await done(postmaster, "trace", str(ident))
    assert "held" in trace
    assert f"audit {entries[-1]['id']}" in trace


async def _has(live: LivePostmaster, domain: str, count: int) -> bool:
    return await on_the_road(live, domain) == count


async def test_a_flush_publishes_everything_once(postmaster: LivePostmaster) -> None:
    for _ in range(3):
        await deferred(postmaster.pool, "a@b.test")
    await deferred(postmaster.pool, "a@c.test")

    first = await done(postmaster, "queue", "flush", "--domain", "b.test", "--yes")
    second = await done(postmaster, "queue", "flush", "--domain", "b.test", "--yes")

    assert first.startswith("3 recipients made due")
    assert second.startswith("0 recipients made due")
    await until(lambda: _has(postmaster, "b.test", 3), "not published")
    assert await on_the_road(postmaster, "c.test") == 0
    assert (await ledger.claim_marked(postmaster.pool, timedelta(0), 10)).marks == ()


async def test_reroute_bounce_and_delete_by_id(postmaster: LivePostmaster) -> None:
    idents = [await deferred(postmaster.pool, "a@b.test") for _ in range(3)]
    first, second, third = map(str, idents)

    await done(postmaster, "queue", "reroute", first, "--to", "relay.test:587", "--yes")
    await done(postmaster, "queue", "bounce", second, "--text", "not wanted", "--yes")
    deleted = await done(postmaster, "queue", "delete", third, "--yes")

    listed = await done(postmaster, "queue", "list", first)
    assert ", by smtp:relay.test:587" in listed
    assert deleted.startswith("1 recipient deleted")
    assert await states_of(postmaster.pool, idents[2]) == {0: "discarded"}
    await until(lambda: _has(postmaster, "b.test", 2), "not published")
    usual = await done(postmaster, "queue", "reroute", first, "--to", "usual", "--yes")
    assert usual.startswith("1 recipient rerouted")
    assert await is_true(postmaster.pool)


async def test_many_are_changed_batch_by_batch(
    postmaster: LivePostmaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postmaster.queueing.BATCH", 2)
    for _ in range(5):
        await deferred(postmaster.pool, "a@b.test")

    answer = await postmaster.http.post(
        "/queue/hold", json={"all": True}, headers={"Posthouse-Operator": "anna"}
    )

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["changed"] for line in lines] == [0, 2, 4, 5, 5]
    assert lines[-1]["done"]
    (entry,) = (await postmaster.http.get("/audit")).json()["items"]
    assert (entry["actor"], entry["chosen"], entry["changed"]) == ("anna", "--all", 5)


async def test_without_the_broker_the_decision_stands_and_is_published_later(
    clerk: LivePostmaster,
) -> None:
    ident = await deferred(clerk.pool, "a@b.test")

    said = await refused(clerk, "queue", "retry", "--all", "--yes")

    assert "Stopped after" in said
    marked = await ledger.claim_marked(clerk.pool, timedelta(0), 10)
    assert [each.id for each in marked.envelopes] == [ident]
    (entry,) = json.loads(await done(clerk, "audit", "list", "--json"))
    assert (entry["changed"], entry["ended_at"]) == (1, None)


async def test_what_is_claimed_is_told_as_busy(postmaster: LivePostmaster) -> None:
    await deferred(postmaster.pool, "a@b.test")
    (batch,) = [batch async for batch in ledger.iterate_unsettled(postmaster.pool, 10)]

    async with ledger.Claims(postmaster.pool) as claims, claims.claim(batch[0]) as claim:  # type: ignore[arg-type]
        assert claim is not None
        said = await done(postmaster, "queue", "hold", "--all", "--yes")

    assert said.startswith("0 recipients held")
    assert "1 were being delivered" in said
    assert await ledger.count_waiting(postmaster.pool, Choice(state="held")) == 0
