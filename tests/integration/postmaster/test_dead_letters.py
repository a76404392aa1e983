"""What operators do with dead letters: by the ledger, at a pace, watched, and as often as they like."""

from __future__ import annotations

import asyncio
import dataclasses
import email
import email.policy
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec import structs

from posthouse.bus.consumer import consume
from posthouse.bus.depths import depths
from posthouse.bus.moves import BUG_WAITS, Ack, Move
from posthouse.bus.obituary import History
from posthouse.bus.publisher import Parcel
from posthouse.bus.topology import DEAD_QUEUES, INBOUND, LOCAL, remote_road
from posthouse.bus.undertaking import undertake
from posthouse.bus.wire import encode
from posthouse.mail.envelope import Inbound, Remote
from posthouse.mail.ids import object_key
from posthouse.mail.outcome import Relayed
from posthouse.storage import ledger
from posthouse.storage.dead_letters import Choice, dead_letters
from posthouse.storage.pool import transaction
from posthouse.telemetry.probes import Probes
from postmaster.duties.undertaker import Undertaker
from support.dead import ALL, burial, die, routed_home, routed_outside
from support.ledger import states_of
from support.letters_under_way import new_mail
from support.postmaster import LivePostmaster, until
from support.roads import taken_off

pytestmark = pytest.mark.integration

AT_ONCE = ("--rate", "1000", "--watch", "0")
MAILS = 30
HOP = "smtp:relay.test:25"
B_TEST = remote_road("b.test")


async def done(live: LivePostmaster, *arguments: str, status: int = 0) -> str:
    result = await live.cli("dead", *arguments)
    assert result.exit_code == status, result.output
    return result.stdout + result.stderr


async def all_buried(postmaster: LivePostmaster) -> None:
    """Wait until what was sent on has died again."""

    async def is_so() -> bool:
        return (await left(postmaster)).get("waiting") == MAILS

    await until(is_so, "what was sent on is a dead letter again")


async def left(live: LivePostmaster) -> dict[str, int]:
    """Return how many letters are in each state."""
    rows = await live.pool.fetch("select state, count(*) as n from dead_letters group by 1")
    return {row["state"]: row["n"] for row in rows}


async def last_entry(live: LivePostmaster) -> dict[str, object]:
    entry: dict[str, object] = (await live.http.get("/audit")).json()["items"][0]
    return entry


@asynccontextmanager
async def faulty(live: LivePostmaster, why: str = "") -> AsyncIterator[list[Inbound]]:
    """Serve `INBOUND` by a handler that fails, if it has a reason ``why``, and file who dies."""
    seen: list[Inbound] = []

    async def handle(envelopes: Sequence[Inbound]) -> list[Move]:
        seen.extend(envelopes)
        if why:
            raise ValueError(f"{why} {envelopes[0].id}")
        places = [(envelope.id, each.n) for envelope in envelopes for each in envelope.recipients]
        for ident, n in places:
            await ledger.settle(live.pool, ident, [Relayed(n=n, host="h", reply="ok")], 1)
        return [Ack() for _ in envelopes]

    beat, file = Probes().progress("test"), Undertaker(live.pool).file
    tasks = [
        asyncio.ensure_future(consume(live.broker, INBOUND, handle, beat=beat)),
        *(asyncio.ensure_future(undertake(live.broker, q, file, beat=beat)) for q in DEAD_QUEUES),
    ]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def sent(live: LivePostmaster, count: int) -> dict[UUID, Remote]:
    """Take ``count`` envelopes off the road to b.test; a single consumer's road cannot be looked at."""
    found: list[Remote] = []

    async def handle(envelopes: Sequence[Remote]) -> list[Move]:
        found.extend(envelopes)
        return [Ack() for _ in envelopes]

    beat = Probes().progress("test")
    task = asyncio.ensure_future(consume(live.broker, B_TEST, handle, beat=beat))
    await until(lambda: len(found) >= count, f"{count} did not come")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(found) == count
    return {envelope.id: envelope for envelope in found}


async def storm(live: LivePostmaster) -> str:
    """Let `MAILS` mails die of the same; return their fingerprint."""
    mails = [new_mail("anna@example.test") for _ in range(MAILS)]
    await ledger.enter(live.pool, mails)
    await ledger.published(live.pool, [mail.id for mail in mails])
    worn = History(failures=len(BUG_WAITS), first_failed=datetime.now(UTC))
    async with faulty(live, "no row"):
        await live.publisher.dispatch(
            [Parcel.on_road(INBOUND, encode(mail.envelope), worn) for mail in mails]
        )

        async def are_filed() -> bool:
            return len(await dead_letters(live.pool, ALL)) == MAILS

        await until(are_filed, "they did not die")
    (fingerprint,) = {letter.fingerprint for letter in await dead_letters(live.pool, ALL)}
    return fingerprint


async def test_a_replay_stops_when_its_fingerprint_comes_back(postmaster: LivePostmaster) -> None:
    fingerprint = await storm(postmaster)

    async with faulty(postmaster, "no row") as seen:
        said = await done(
            postmaster, "replay", "--fingerprint", fingerprint, "--rate", "10", status=3
        )
        await all_buried(postmaster)

    assert f"letters of fingerprint {fingerprint} came back" in said
    assert 0 < len(seen) < MAILS
    assert await left(postmaster) == {"replayed": len(seen), "waiting": MAILS}
    entry = await last_entry(postmaster)
    assert entry["changed"] == len(seen)
    assert entry["outcome"] == f"stopped: letters of fingerprint {fingerprint} came back"
    assert entry["ended_at"] is not None


async def test_a_canary_tells_whether_the_fault_is_gone(postmaster: LivePostmaster) -> None:
    fingerprint = await storm(postmaster)
    canary = ("replay", "--fingerprint", fingerprint, "--limit", "1", "--watch", "20")

    async with faulty(postmaster, "no row"):
        assert "came back" in await done(postmaster, *canary, status=3)
    began = time.monotonic()
    async with faulty(postmaster) as seen:
        assert "1 dead letter put back" in await done(postmaster, *canary)
    assert time.monotonic() - began < 15, "it waited although all was through"
    assert len(seen) == 1


async def test_another_fault_does_not_stop_a_replay(postmaster: LivePostmaster) -> None:
    await storm(postmaster)

    async with faulty(postmaster, "something else"):
        said = await done(postmaster, "replay", "--all", "--rate", "100")
        await all_buried(postmaster)

    assert f"{MAILS} dead letters put back" in said
    assert await left(postmaster) == {"replayed": MAILS, "waiting": MAILS}


async def test_letters_go_at_the_pace_that_was_asked_for(postmaster: LivePostmaster) -> None:
    mails = [new_mail("anna@example.test") for _ in range(MAILS)]
    await ledger.enter(postmaster.pool, mails)
    await die(postmaster.pool, *(mail.envelope for mail in mails))
    order = {"all": True, "rate": 20, "watch": 0}

    began = time.monotonic()
    async with postmaster.http.stream("POST", "/dead-letters/replay", json=order) as answer:
        lines = answer.aiter_lines()
        seen = [(time.monotonic(), json.loads(line)["changed"]) async for line in lines]

    assert [changed for _, changed in seen] == [0, 10, 20, 30, 30]
    assert seen[3][0] - began >= 1.0, "the last ten go when the twenty before had their second"


async def test_two_replays_at_once_send_each_letter_once(postmaster: LivePostmaster) -> None:
    mails = [new_mail("anna@example.test") for _ in range(MAILS)]
    await ledger.enter(postmaster.pool, mails)
    await die(postmaster.pool, *(mail.envelope for mail in mails))

    order = {"all": True, "rate": 50, "watch": 0}
    await asyncio.gather(
        *(postmaster.http.post("/dead-letters/replay", json=order) for _ in range(2))
    )

    envelopes = await taken_off(postmaster.broker, INBOUND)
    assert sorted(each.id for each in envelopes) == sorted(mail.id for mail in mails)
    entries = (await postmaster.http.get("/audit")).json()["items"]
    assert sum(entry["changed"] for entry in entries) == MAILS


async def test_a_replay_follows_what_was_decided_meanwhile(postmaster: LivePostmaster) -> None:
    mails = [new_mail(f"u{n}@b.test") for n in range(4)]
    usual, via, verdict, held = await routed_outside(postmaster.pool, mails)
    async with transaction(postmaster.pool) as tx:
        await ledger.reroute(tx, [(via.id, 0)], HOP)
        await ledger.bounce(tx, [(verdict.id, 0)], "not wanted")
        await ledger.hold(tx, [(held.id, 0)])
    await die(postmaster.pool, usual, via, verdict, held)

    said = await done(postmaster, "replay", "--all", *AT_ONCE)

    found = await sent(postmaster, 3)
    assert "3 dead letters put back" in said
    assert "1 dead letter ended" in said
    assert found == {
        usual.id: usual,
        via.id: structs.replace(via, via=HOP),
        verdict.id: structs.replace(verdict, verdict="not wanted"),
    }
    assert await states_of(postmaster.pool, held.id) == {0: "held"}
    assert await left(postmaster) == {"replayed": 3, "outlived": 1}


async def test_what_has_ended_meanwhile_is_outlived_and_the_unknown_stays(
    postmaster: LivePostmaster,
) -> None:
    (settled,) = await routed_outside(postmaster.pool, [new_mail("bert@b.test")])
    await die(postmaster.pool, settled)
    await ledger.settle(postmaster.pool, settled.id, [Relayed(n=0, host="h", reply="ok")], 1)
    (unknown,) = await die(postmaster.pool, new_mail("anna@example.test").envelope)

    said = await done(postmaster, "replay", "--all", *AT_ONCE, status=1)

    assert "0 dead letters put back" in said
    assert f"{unknown.id} stays: the ledger does not know its recipients" in said
    assert await left(postmaster) == {"outlived": 1, "waiting": 1}
    assert {depth.ready for depth in await depths(postmaster.broker)} == {0}


@pytest.mark.parametrize(
    ("order", "state", "result"),
    [
        (("replay",), "replayed", "routed"),
        (("bounce", "--text", "no", "--yes"), "bounced", "bounced"),
    ],
)
async def test_what_could_not_be_read_when_it_was_filed_goes_on_once_it_can(
    postmaster: LivePostmaster, order: tuple[str, ...], state: str, result: str
) -> None:
    (remote,) = await routed_outside(postmaster.pool, [new_mail("carl@b.test")])
    unread = dataclasses.replace(burial(remote), envelope=None)
    await Undertaker(postmaster.pool).file([unread])
    assert await states_of(postmaster.pool, remote.id) == {0: "routed"}

    await done(postmaster, *order, "--all", *AT_ONCE)

    assert await left(postmaster) == {state: 1}
    assert await states_of(postmaster.pool, remote.id) == {0: result}
    if state == "replayed":
        assert await sent(postmaster, 1) == {remote.id: remote}


async def test_only_mail_for_the_outside_is_rerouted(postmaster: LivePostmaster) -> None:
    inbound = new_mail("anna@example.test")
    await ledger.enter(postmaster.pool, [inbound])
    local = await routed_home(postmaster.pool, new_mail("bert@example.test"), 7)
    (remote,) = await routed_outside(postmaster.pool, [new_mail("carl@b.test")])
    await die(postmaster.pool, inbound.envelope, local, remote)
    order = ("reroute", "--reason", "A BUG", "--to", "relay.test:25")

    assert "add --yes" in await done(postmaster, *order, status=1)
    assert "3 dead letters would be sent" in await done(postmaster, *order, "--dry-run")
    said = await done(postmaster, *order, "--yes", *AT_ONCE, status=1)

    assert "1 dead letter sent another way" in said
    assert "not routed yet" in said
    assert "into a mailbox here" in said
    assert await sent(postmaster, 1) == {remote.id: structs.replace(remote, via=HOP)}
    entry = await last_entry(postmaster)
    assert (entry["action"], entry["detail"], entry["changed"]) == ("dead reroute", HOP, 1)
    assert entry["chosen"] == '--reason "A BUG"'
    trace = (await postmaster.cli("trace", str(remote.id))).stdout
    assert f"audit {entry['id']}" in trace


async def test_a_letter_whose_copy_is_being_delivered_stays(postmaster: LivePostmaster) -> None:
    (remote,) = await routed_outside(postmaster.pool, [new_mail("carl@b.test")])
    await die(postmaster.pool, remote)

    async with ledger.Claims(postmaster.pool) as claims, claims.claim(remote) as claim:
        assert claim is not None
        for order in (("reroute", "--to", "relay.test:25"), ("bounce", "--text", "no")):
            said = await done(postmaster, *order, "--all", "--yes", *AT_ONCE)
            assert "1 dead letter left: a copy is being delivered" in said

    assert await left(postmaster) == {"waiting": 1}
    assert await states_of(postmaster.pool, remote.id) == {0: "dead"}
    assert (await last_entry(postmaster))["busy"] == 1


async def test_letters_of_all_roads_are_returned_once(postmaster: LivePostmaster) -> None:
    inbound = new_mail("anna@example.test", "bert@example.test")
    await ledger.enter(postmaster.pool, [inbound])
    await ledger.published(postmaster.pool, [inbound.id])
    local = await routed_home(postmaster.pool, new_mail("bert@example.test"), 7)
    (remote,) = await routed_outside(postmaster.pool, [new_mail("carl@b.test")])
    octets = b"Subject: what died\r\n\r\nbody\r\n"
    await postmaster.parts.blobs.put(object_key(remote.id), octets)  # of the others they are gone
    await die(postmaster.pool, inbound.envelope, local, remote)

    said = await done(postmaster, "bounce", "--all", "--text", "we gave up", "--yes", *AT_ONCE)
    again = await done(postmaster, "bounce", "--all", "--text", "we gave up", "--yes", *AT_ONCE)

    assert "3 dead letters returned to their senders" in said
    assert "0 dead letters returned" in again
    assert await left(postmaster) == {"bounced": 3}
    for ident in (inbound.id, local.id, remote.id):
        assert set((await states_of(postmaster.pool, ident)).values()) == {"bounced"}
    reports = await taken_off(postmaster.broker, INBOUND)
    assert [(r.sender, r.recipients[0].address) for r in reports] == [("", "eve@far.test")] * 3
    told = [await postmaster.parts.blobs.get(report.blob) for report in reports]
    assert all(b"we gave up" in each for each in told)
    parsed = email.message_from_bytes(told[2], policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report"
    assert b"Subject: what died" in told[2]
    assert b"Final-Recipient: rfc822; bert@example.test" in told[0]
    assert await postmaster.pool.fetchval("select count(*) from unpublished") == 0


async def test_the_null_sender_is_not_answered(postmaster: LivePostmaster) -> None:
    mail = new_mail("anna@example.test", sender="")
    await ledger.enter(postmaster.pool, [mail])
    await die(postmaster.pool, mail.envelope)

    await done(postmaster, "bounce", "--all", "--text", "no", "--yes", *AT_ONCE)

    assert await states_of(postmaster.pool, mail.id) == {0: "discarded"}
    assert await taken_off(postmaster.broker, INBOUND) == []


async def test_letters_of_every_road_go_back_by_a_mark_if_nobody_publishes_them(
    postmaster: LivePostmaster, clerk: LivePostmaster
) -> None:
    inbound = new_mail("anna@example.test")
    await ledger.enter(postmaster.pool, [inbound])
    local = await routed_home(postmaster.pool, new_mail("bert@example.test"), 7)
    (remote,) = await routed_outside(postmaster.pool, [new_mail("carl@b.test")])
    await die(postmaster.pool, inbound.envelope, local, remote)

    broken = await done(clerk, "replay", "--all", *AT_ONCE, status=1)
    marked = await ledger.claim_marked(postmaster.pool, timedelta(0), 10)

    assert "Broken off" in broken
    assert await left(postmaster) == {"replayed": 3}
    expected = {inbound.envelope, local, structs.replace(remote, on_request=True)}
    assert set(marked.envelopes) == expected
    assert len(await dead_letters(postmaster.pool, Choice(road=LOCAL, state="replayed"))) == 1


async def test_discarding_a_letter_leaves_alone_who_goes_on_by_another_copy(
    postmaster: LivePostmaster,
) -> None:
    mail = new_mail("anna@example.test", "bert@example.test")
    await ledger.enter(postmaster.pool, [mail])
    await die(postmaster.pool, mail.envelope)
    await postmaster.pool.execute("update recipients set state = 'accepted' where n = 1")

    await done(postmaster, "discard", "1", "--yes")

    assert await states_of(postmaster.pool, mail.id) == {0: "discarded", 1: "accepted"}
