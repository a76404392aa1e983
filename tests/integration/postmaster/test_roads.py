"""What the postmaster does on the roads: sweeping, burying, replaying, rebuilding."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import aio_pika
import httpx
import pytest
from aio_pika.abc import HeadersType
from msgspec import structs
from pydantic import SecretStr

from posthouse.bus import connection
from posthouse.bus.connection import Broker, connect
from posthouse.bus.consumer import consume
from posthouse.bus.depths import depths
from posthouse.bus.moves import Ack, Bury, Move
from posthouse.bus.obituary import History, compose
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import DEAD_QUEUES, INBOUND, LOCAL, dead_queue
from posthouse.bus.undertaking import undertake
from posthouse.bus.wire import encode
from posthouse.mail.envelope import Inbound
from posthouse.mail.handling import Handling
from posthouse.storage import ledger
from posthouse.storage.dead_letters import Choice, DeadLetter, dead_letters
from posthouse.storage.pool import Pool, open_pool
from posthouse.telemetry.probes import Beat, Probes
from postmaster.duties.rounds import alone
from postmaster.duties.sweeper import sweep
from postmaster.duties.undertaker import Undertaker
from support.letters_under_way import new_mail
from support.postmaster import GRACE, SOON, LivePostmaster, until
from support.roads import taken_off

pytestmark = pytest.mark.integration

NOW = timedelta()


def beat() -> Beat:
    return Probes().progress("test")


async def ready(broker: Broker, queue: str) -> int:
    return next(depth.ready or 0 for depth in await depths(broker) if depth.queue == queue)


@asynccontextmanager
async def running(*duties: object) -> AsyncIterator[None]:
    """Run duties while inside, and end them; what they raise fails the test."""
    tasks = [asyncio.ensure_future(duty) for duty in duties]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome


@asynccontextmanager
async def undertaking(pool: Pool, broker: Broker) -> AsyncIterator[None]:
    undertaker = Undertaker(pool)
    async with running(
        *(undertake(broker, queue, undertaker.file, beat=beat()) for queue in DEAD_QUEUES)
    ):
        yield


async def filed(pool: Pool, count: int = 1) -> tuple[DeadLetter, ...]:
    async def there() -> bool:
        return len(await dead_letters(pool, Choice(state=None))) >= count

    await until(there, f"{count} dead letters were not filed")
    return await dead_letters(pool, Choice(state=None))


async def states(pool: Pool) -> list[str]:
    return [
        str(row["state"]) for row in await pool.fetch("select state from recipients order by n")
    ]


async def bury_one(postmaster: LivePostmaster, mail: ledger.NewMail) -> None:
    """Let a consumer bury ``mail``'s envelope."""
    buried = asyncio.Event()

    async def give_up(envelopes: Sequence[Inbound]) -> list[Move]:
        buried.set()
        return [Bury("nobody knows why") for _ in envelopes]

    await postmaster.publisher.send(INBOUND, [mail.envelope])
    async with running(consume(postmaster.broker, INBOUND, give_up, beat=beat())):
        await asyncio.wait_for(buried.wait(), SOON)
        await until(lambda: _parked(postmaster.broker, INBOUND), "the letter was not parked")


async def _parked(broker: Broker, road: str) -> bool:
    return await ready(broker, dead_queue(road)) > 0


async def test_a_buried_envelope_is_filed_and_its_recipients_are_dead(
    postmaster: LivePostmaster,
) -> None:
    mail = new_mail("anna@example.test", "bert@example.test")
    await ledger.enter(postmaster.pool, [mail])
    await bury_one(postmaster, mail)

    async with undertaking(postmaster.pool, postmaster.broker):
        (letter,) = await filed(postmaster.pool)
        await until(lambda: _empty(postmaster.broker, dead_queue(INBOUND)), "not acknowledged")

    assert (letter.road, letter.envelope, letter.state) == (INBOUND, mail.id, "waiting")
    assert letter.reason == "nobody knows why"
    assert letter.fingerprint
    assert await states(postmaster.pool) == ["dead", "dead"]


async def _empty(broker: Broker, queue: str) -> bool:
    return await ready(broker, queue) == 0


async def test_an_envelope_that_came_by_the_delivery_limit_is_filed_with_its_road(
    postmaster: LivePostmaster, broker_url: str
) -> None:
    mail = new_mail("anna@example.test")
    await ledger.enter(postmaster.pool, [mail])
    await postmaster.publisher.send(INBOUND, [mail.envelope])

    async with await aio_pika.connect(broker_url) as line:
        channel = await line.channel()
        queue = await channel.get_queue(INBOUND)
        while not await _parked(postmaster.broker, INBOUND):
            message = await queue.get(fail=False)
            if message is not None:
                await message.nack(requeue=True)
    async with undertaking(postmaster.pool, postmaster.broker):
        (letter,) = await filed(postmaster.pool)

    assert (letter.road, letter.service, letter.envelope) == (INBOUND, "rabbitmq", mail.id)
    assert "delivery limit" in letter.reason
    assert letter.attempts >= 20
    assert await states(postmaster.pool) == ["dead"]


async def test_octets_that_are_no_envelope_are_filed_and_stay_at_a_replay(
    postmaster: LivePostmaster, broker_url: str
) -> None:
    async with await aio_pika.connect(broker_url) as line:
        channel = await line.channel()
        exchange = await channel.get_exchange("dead")
        await exchange.publish(aio_pika.Message(b"\xff\x00 no envelope"), dead_queue(LOCAL))

    async with undertaking(postmaster.pool, postmaster.broker):
        (letter,) = await filed(postmaster.pool)
    result = await postmaster.cli("dead", "replay", str(letter.id))
    listed = json.loads((await postmaster.cli("dead", "list", "--json")).stdout)
    shown = await postmaster.cli("dead", "show", str(letter.id))

    assert (letter.road, letter.envelope) == (LOCAL, None)
    assert result.exit_code == 1
    assert "cannot be read" in result.stdout
    assert [row["id"] for row in listed] == [letter.id]
    assert shown.exit_code == 0


async def test_a_letter_that_is_delivered_twice_is_filed_once_and_does_not_undo_a_replay(
    postmaster: LivePostmaster, broker_url: str
) -> None:
    mail = new_mail("anna@example.test")
    await ledger.enter(postmaster.pool, [mail])
    await bury_one(postmaster, mail)
    await _copy_front(broker_url, dead_queue(INBOUND))

    async with undertaking(postmaster.pool, postmaster.broker):
        await until(lambda: _empty(postmaster.broker, dead_queue(INBOUND)), "not acknowledged")
        (letter,) = await filed(postmaster.pool)
        order = {"ids": [letter.id], "watch": 0}
        await postmaster.http.post("/dead-letters/replay", json=order)
        await _headers(broker_url, INBOUND)
        await _publish_dead(broker_url, letter)
        await until(lambda: _empty(postmaster.broker, dead_queue(INBOUND)), "not acknowledged")

    assert len(await dead_letters(postmaster.pool, Choice(state=None))) == 1
    assert await states(postmaster.pool) == ["accepted"]


async def _copy_front(broker_url: str, name: str) -> None:
    """Put the message at the front of a queue into it once more, as a late redelivery would."""
    async with await aio_pika.connect(broker_url) as line:
        channel = await line.channel()
        queue = await channel.get_queue(name)
        message = await queue.get()
        copy = aio_pika.Message(message.body, headers=dict(message.headers))
        for _ in range(2):
            await channel.default_exchange.publish(copy, name)
        await message.ack()


async def _publish_dead(broker_url: str, letter: DeadLetter) -> None:
    headers: HeadersType = {
        "posthouse-service": letter.service, "posthouse-road": letter.road,
        "posthouse-reason": letter.reason, "posthouse-exception": letter.exception,
        "posthouse-fingerprint": letter.fingerprint, "posthouse-failures": letter.attempts,
        "posthouse-first-failed": letter.first_failed.isoformat(),
        "posthouse-last-failed": letter.last_failed.isoformat(),
    }  # fmt: skip
    async with await aio_pika.connect(broker_url) as line:
        channel = await line.channel()
        exchange = await channel.get_exchange("dead")
        message = aio_pika.Message(letter.body, headers=headers)
        await exchange.publish(message, dead_queue(letter.road))


async def _headers(broker_url: str, name: str) -> dict[str, object]:
    async with await aio_pika.connect(broker_url) as line:
        channel = await line.channel()
        message = await (await channel.get_queue(name)).get()
        await message.ack()
        return dict(message.headers)


async def test_a_replay_puts_the_same_envelope_on_its_road_and_may_be_repeated(
    postmaster: LivePostmaster,
) -> None:
    mail = new_mail("anna@example.test")
    await ledger.enter(postmaster.pool, [mail])
    await bury_one(postmaster, mail)
    async with undertaking(postmaster.pool, postmaster.broker):
        (letter,) = await filed(postmaster.pool)

    dry = await postmaster.cli("dead", "replay", "--fingerprint", letter.fingerprint, "--dry-run")
    assert "1 dead letter would be put back" in dry.stdout
    assert await states(postmaster.pool) == ["dead"]
    wet = await postmaster.cli("dead", "replay", "--road", INBOUND, "--watch", "0")
    again = await postmaster.cli("dead", "replay", str(letter.id))
    seen: list[Inbound] = []

    async def take(envelopes: Sequence[Inbound]) -> list[Move]:
        seen.extend(envelopes)
        return [Ack() for _ in envelopes]

    async with running(consume(postmaster.broker, INBOUND, take, beat=beat())):
        await until(lambda: seen, "the replayed envelope did not come")

    assert (wet.exit_code, again.exit_code) == (0, 0)
    assert "0 dead letters" in again.stdout
    assert seen == [mail.envelope]
    assert await states(postmaster.pool) == ["accepted"]
    (after,) = await dead_letters(postmaster.pool, Choice(state="replayed"))
    assert after.ended_at is not None


async def test_what_is_replayed_in_an_outage_is_swept_when_it_is_over(
    postmaster: LivePostmaster, clerk: LivePostmaster
) -> None:
    mail = new_mail("anna@example.test")
    await ledger.enter(postmaster.pool, [mail])
    await ledger.published(postmaster.pool, [mail.id])
    await bury_one(postmaster, mail)
    async with undertaking(postmaster.pool, postmaster.broker):
        (letter,) = await filed(postmaster.pool)

    broken = await clerk.cli("dead", "replay", str(letter.id))
    assert await ready(postmaster.broker, INBOUND) == 0
    assert await sweep(postmaster.pool, postmaster.publisher, NOW) == 1
    again = await postmaster.cli("dead", "replay", str(letter.id))

    assert broken.exit_code == 1
    assert "Broken off" in broken.stderr
    assert "0 dead letters put back" in again.stdout
    assert await ready(postmaster.broker, INBOUND) == 1


async def test_a_discarded_letter_settles_its_recipients_by_a_named_rule(
    postmaster: LivePostmaster,
) -> None:
    mail = new_mail("anna@example.test")
    await ledger.enter(postmaster.pool, [mail])
    await bury_one(postmaster, mail)
    async with undertaking(postmaster.pool, postmaster.broker):
        (letter,) = await filed(postmaster.pool)

    kept = await postmaster.cli("dead", "discard", str(letter.id), stdin="n\n")
    assert kept.exit_code == 1
    assert await states(postmaster.pool) == ["dead"]
    result = await postmaster.cli("dead", "discard", str(letter.id), "--note", "spam", "--yes")

    assert result.exit_code == 0
    assert await states(postmaster.pool) == ["discarded"]
    (ended,) = await dead_letters(postmaster.pool, Choice(state="discarded"))
    assert ended.note == "spam"
    timeline = (await postmaster.http.get(f"/trace/{mail.id}")).json()
    assert "dead letter discarded" in json.dumps(timeline)


async def test_more_letters_than_can_be_named_are_discarded_at_once(
    postmaster: LivePostmaster, broker_url: str
) -> None:
    mails = [new_mail("anna@example.test") for _ in range(1100)]
    await ledger.enter(postmaster.pool, mails)
    async with connect(broker_url, Probes(), "policy", grace=GRACE) as broker:
        death = compose("policy", INBOUND, ValueError("no row"), History(), datetime.now(UTC))
        await Publisher(broker).dispatch(
            [Parcel.dead(INBOUND, encode(mail.envelope), death) for mail in mails]
        )

    async def all_are_filed() -> bool:
        return bool(await postmaster.pool.fetchval("select count(*) = 1100 from dead_letters"))

    async with undertaking(postmaster.pool, postmaster.broker):
        await until(all_are_filed, "not all were filed")

    canary = await postmaster.cli("dead", "discard", "--all", "--limit", "1", "--yes", "--json")
    rest = await postmaster.cli("dead", "discard", "--all", "--note", "spam", "--yes")

    assert json.loads(canary.stdout)["changed"] == 1
    assert "1099 dead letters discarded (audit " in rest.stdout
    assert set(await states(postmaster.pool)) == {"discarded"}
    entries = (await postmaster.http.get("/audit")).json()["items"]
    assert [(one["action"], one["found"], one["changed"]) for one in entries] == [
        ("dead discard", 1099, 1099),
        ("dead discard", 1, 1),
    ]


async def test_a_storm_of_equal_deaths_is_one_line_and_a_canary_goes_first(
    postmaster: LivePostmaster, broker_url: str
) -> None:
    now = datetime.now(UTC)
    mails = [new_mail("anna@example.test") for _ in range(40)]
    await ledger.enter(postmaster.pool, mails)
    async with connect(broker_url, Probes(), "policy", grace=GRACE) as broker:
        deaths = [
            compose("policy", INBOUND, ValueError(f"no row {mail.id}"), History(), now)
            for mail in mails
        ]
        await Publisher(broker).dispatch(
            [
                Parcel.dead(INBOUND, encode(mail.envelope), death)
                for mail, death in zip(mails, deaths, strict=True)
            ]
        )
    async with undertaking(postmaster.pool, postmaster.broker):
        letters = await filed(postmaster.pool, len(mails))

    (group,) = json.loads((await postmaster.cli("dead", "groups", "--json")).stdout)
    chosen = ("--fingerprint", group["fingerprint"])
    preview = await postmaster.cli("dead", "discard", *chosen, "--dry-run")
    canary = await postmaster.cli("dead", "replay", *chosen, "--limit", "1", "--watch", "0")
    rest = await postmaster.cli("dead", "replay", *chosen, "--rate", "1000", "--watch", "0")

    assert (group["count"], group["oldest"]) == (len(mails), letters[0].id)
    assert "40 dead letters would be discarded" in preview.stdout
    assert "1 dead letter put back" in canary.stdout
    assert "39 dead letters put back" in rest.stdout
    assert await ready(postmaster.broker, INBOUND) == len(mails)
    entries = (await postmaster.http.get("/audit")).json()["items"]
    assert [(one["action"], one["changed"]) for one in entries] == [
        ("dead replay", 39),
        ("dead replay", 1),
    ]


async def test_two_sweepers_publish_an_unpublished_envelope_once(
    postmaster: LivePostmaster, postgres_url: str, broker_url: str
) -> None:
    mails = [new_mail("anna@example.test") for _ in range(700)]
    await ledger.enter(postmaster.pool, mails)

    async with (
        open_pool(postgres_url) as other_pool,
        connect(broker_url, Probes(), "postmaster-2", grace=GRACE) as other_broker,
    ):
        pods = [
            alone(pool, "sweeper", partial(sweep, pool, Publisher(broker), NOW))
            for pool, broker in ((postmaster.pool, postmaster.broker), (other_pool, other_broker))
        ]
        await asyncio.gather(*(pod() for pod in pods))
        await asyncio.gather(*(pod() for pod in pods))

    on_road = [envelope.id for envelope in await taken_off(postmaster.broker, INBOUND)]
    assert sorted(on_road) == sorted(mail.id for mail in mails)
    assert await postmaster.pool.fetchval("select count(*) from unpublished") == 0


async def test_a_sweeper_leaves_alone_what_its_acceptor_is_about_to_publish(
    postmaster: LivePostmaster,
) -> None:
    await ledger.enter(postmaster.pool, [new_mail("anna@example.test")])

    swept = await sweep(postmaster.pool, postmaster.publisher, timedelta(minutes=1))

    assert swept == 0
    assert await postmaster.pool.fetchval("select count(*) from unpublished") == 1


async def test_a_rebuild_brings_back_every_unsettled_envelope_after_the_broker_lost_all(
    postmaster: LivePostmaster, broker_url: str, broker_api: str
) -> None:
    mails = [new_mail("anna@example.test", "bert@example.test") for _ in range(2500)]
    await ledger.enter(postmaster.pool, mails)
    await ledger.published(postmaster.pool, [mail.id for mail in mails])
    await _lose_everything(broker_url, broker_api)

    result = await postmaster.cli("broker", "rebuild", "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["published"] == len(mails)
    assert (await postmaster.cli("broker", "check")).exit_code == 0
    on_road = [envelope.id for envelope in await taken_off(postmaster.broker, INBOUND)]
    assert sorted(on_road) == sorted(mail.id for mail in mails)


async def _lose_everything(broker_url: str, broker_api: str) -> None:
    """Delete the virtual host with all its queues and make it anew, empty."""
    url = SecretStr(broker_url)  # kept out of a failing test's output
    parts = httpx.URL(url.get_secret_value())
    user, password = parts.username or "guest", parts.password or "guest"
    name = parts.path.lstrip("/")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    async with httpx.AsyncClient(base_url=broker_api, auth=(user, password)) as management:
        (await management.delete(f"/api/vhosts/{name}")).raise_for_status()
        (await management.put(f"/api/vhosts/{name}")).raise_for_status()
        permissions = f"/api/permissions/{name}/{user}"
        (await management.put(permissions, json=everything)).raise_for_status()


async def test_a_broken_off_rebuild_says_so(
    clerk: LivePostmaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    result = await clerk.cli("broker", "rebuild")

    assert result.exit_code == 1
    assert "stopped after 0 envelopes" in result.stderr


async def test_the_queues_are_listed_with_what_the_ledger_knows(
    postmaster: LivePostmaster,
) -> None:
    await ledger.enter(postmaster.pool, [new_mail("anna@example.test", "bert@example.test")])
    await postmaster.publisher.send(INBOUND, [new_mail("x@example.test").envelope])

    answer = json.loads((await postmaster.cli("queue", "roads", "--json")).stdout)
    table = (await postmaster.cli("queue", "roads")).stdout

    inbound = next(row for row in answer["queues"] if row["queue"] == INBOUND)
    assert (inbound["ready"], inbound["consumers"]) == (1, 0)
    (line,) = answer["ledger"]
    assert (line["road"], line["state"], line["count"]) == ("inbound", "accepted", 2)
    assert "mail.inbound" in table
    assert "accepted" in table


async def test_a_configuration_is_examined_down_to_a_stored_object(
    postmaster: LivePostmaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await postmaster.cli("config", "check", "--json")
    findings = {row["part"]: row for row in json.loads(result.stdout)}

    for part in ("database", "schema", "broker", "store", "certificate"):
        assert findings[part]["fine"], findings[part]
    monkeypatch.setenv("POSTHOUSE_SMTP_PORT", "harbour")
    faulty = json.loads((await postmaster.cli("config", "check", "--json")).stdout)
    assert any("POSTHOUSE_SMTP_PORT" in row["text"] for row in faulty if not row["fine"])


async def test_held_mail_stays_off_the_roads_until_its_time_even_when_they_are_rebuilt(
    postmaster: LivePostmaster,
) -> None:
    mail = structs.replace(new_mail("anna@example.test"), handling=Handling(hold="for;3600"))
    mail = structs.replace(mail, envelope=structs.replace(mail.envelope, handling=mail.handling))
    await ledger.enter(postmaster.pool, [mail])

    answer = await postmaster.http.post("/broker/rebuild")
    early = await sweep(postmaster.pool, postmaster.publisher, NOW)
    assert json.loads(answer.text.splitlines()[-1])["published"] == 0
    assert early == 0

    await postmaster.pool.execute("update held set release_at = now()")
    assert await sweep(postmaster.pool, postmaster.publisher, timedelta(hours=1)) == 1
    assert await taken_off(postmaster.broker, INBOUND) == [mail.envelope]
