"""Mail that leaves: limits that pods share, accounts that are paused, and what becomes of their mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from policy_engine.admission import RELAYED
from policy_engine.arrival import Arrival
from policy_engine.enquiries import Memory
from policy_engine.outbound.limits import Limits, parse_rates
from policy_engine.outbound.outgoing import Outgoing
from policy_engine.outbound.rules import Thresholds
from policy_engine.outbound.settings import parse_consequences
from policy_engine.outbound.warden import Office, Warden
from posthouse.mail.admission import MailQuestion, RcptQuestion, Verdict, accept
from posthouse.mail.envelope import Inbound, Remote
from posthouse.mail.errors import Unavailable
from posthouse.mail.outcome import Bounced
from posthouse.mail.status import Status
from posthouse.runtime.rates import SharedRates
from posthouse.storage import ledger
from posthouse.storage.directory.tenants import add_tenant, assign_domain
from posthouse.storage.outbound import alarms, counting, pausing
from posthouse.storage.outbound.terms import Override, set_limit, terms_of
from support.routing import Post

pytestmark = pytest.mark.integration

ANNA, BERT = "anna@example.test", "bert@example.test"
MAIL = MailQuestion(sender=ANNA, auth=ANNA, client="192.0.2.1")
CONSEQUENCES = parse_consequences("volume=pause,strangers=pause,failures=hold,spam=pause")
NONE = {
    (scope, thing): parse_rates("0")
    for scope in ("account", "domain", "tenant")
    for thing in ("messages", "recipients", "octets")
}


class Pod:
    """One policy process, as far as it counts and decides."""

    def __init__(self, post: Post, rates: SharedRates, now: list[float]) -> None:
        self.post = post
        self.rates = rates
        memory = Memory(partial(terms_of, post.pool), clock=lambda: now[0])
        self.outgoing = Outgoing(post.pool, memory, Limits(rates.buckets, NONE))
        office = Office(
            pool=post.pool,
            blobs=post.blobs,
            roads=post,
            outbox=post,
            hostname="mx.example.test",
            to="postmaster@example.test",
            sign=_signed,
            thresholds=Thresholds(volume=100, failures=3),
            consequences=CONSEQUENCES,
        )
        self.warden = Warden(office, self.outgoing)

    async def route(self, *mails: Inbound) -> None:
        await replace(self.post.routing, outgoing=self.outgoing).route(mails)


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
async def pods(post: Post, now: list[float]) -> AsyncIterator[tuple[Pod, Pod]]:
    async with AsyncExitStack() as stack:
        first, second = [
            Pod(post, await stack.enter_async_context(SharedRates(post.pool)), now) for _ in "12"
        ]
        yield first, second


async def test_two_pods_see_one_account_over_its_limits(
    post: Post, pods: tuple[Pod, Pod], now: list[float]
) -> None:
    first, second = pods
    await set_limit(
        post.pool, Override(scope="account", name=ANNA, thing="messages", rates="4/1h,100/1d")
    )
    await set_limit(
        post.pool, Override(scope="domain", name="example.test", thing="recipients", rates="2/1d")
    )
    for pod in (first, second, first, second):
        assert await pod.outgoing.at_mail(MAIL) is None
    await first.rates.exchange()
    await second.rates.exchange()
    await first.outgoing.at_mail(MAIL)  # may be one too many: it has not heard of the other's
    await first.rates.exchange()

    for pod in pods:
        said = await pod.outgoing.at_mail(MAIL)
        assert said is not None
        assert said.status == Status(451, (4, 7, 1))
        assert said.text == "Sending limit of anna@example.test reached: 4 messages in 1h"
    assert await first.outgoing.at_mail(replace_auth(BERT)) is None  # has limits of its own

    asked = RcptQuestion(recipient="x@far.test", sender=BERT, auth=BERT)
    outside = Arrival(question=asked, verdict=accept(next(iter(sorted(RELAYED)))), is_trusted=True)
    here = replace(outside, verdict=accept("account"))
    assert is_counted(await first.outgoing(outside))
    assert is_counted(await second.outgoing(outside))
    await first.rates.exchange()
    await second.rates.exchange()
    await first.outgoing(outside)  # likewise
    await first.rates.exchange()
    full = await first.outgoing(outside)
    assert full is not None
    assert full.status == Status(452, (4, 5, 3))
    assert full.text == "Sending limit of example.test reached: 2 recipients in 1d"
    assert await first.outgoing(here) is None  # recipients here are not counted
    now[0] += 3.0
    await set_limit(
        post.pool, Override(scope="domain", name="example.test", thing="recipients", rates="0")
    )
    assert is_counted(await first.outgoing(outside))


def is_counted(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.accepts and verdict.is_counted


async def test_more_than_an_int_of_octets_is_counted(post: Post, pods: tuple[Pod, Pod]) -> None:
    await set_limit(
        post.pool, Override(scope="account", name=ANNA, thing="octets", rates="100000000/1d")
    )
    mail = await post.accepted("x@far.test", sender=ANNA, auth=ANNA)
    await pods[0].route(replace_size(mail, 120_000_000))
    await pods[0].rates.exchange()

    assert await pods[1].outgoing.at_mail(MAIL) is None  # it has not heard
    await pods[1].rates.exchange()
    said = await pods[1].outgoing.at_mail(MAIL)
    assert said is not None
    assert "octets in 1d" in said.text


async def test_who_sends_500_after_five_a_day_is_paused_and_nothing_is_lost_or_doubled(
    post: Post, pods: tuple[Pod, Pod], now: list[float]
) -> None:
    await _usual(post, ANNA, 5)
    await _contact(post, "boss@example.test")
    first, _ = pods
    mails = [await post.accepted(f"x{n}@far.test", sender=ANNA, auth=ANNA) for n in range(500)]
    for at in range(0, 200, 20):
        await first.route(*mails[at : at + 20])
    waits = mails[0]
    await _deferred(post, waits)

    await first.warden.round()

    now[0] += 3.0
    for pod in pods:
        said = await pod.outgoing.at_mail(MAIL)
        assert said is not None
        assert said.status == Status(550, (5, 7, 1))
    [paused] = await pausing.paused(post.pool)
    assert (paused.account, paused.kind, paused.rule) == (ANNA, "pause", "volume")
    assert paused.detail == "200 recipients outside in a day, 5 on a usual one"
    [letter] = [mail for mail in post.told if isinstance(mail, Inbound)]
    assert [to.address for to in letter.recipients] == [
        "postmaster@example.test",
        "boss@example.test",
    ]
    told = await post.blobs.get(letter.blob)
    assert told.startswith(b"DKIM-Signature: of ours\r\n")
    assert b"posthouse account resume anna@example.test --release" in told
    states = await _states(post, mails)
    assert states["held"] == 200  # what was routed and not yet sent is held, too
    assert states["accepted"] == 300


async def test_what_is_held_of_a_paused_account_goes_once_when_it_is_resumed(
    post: Post, pods: tuple[Pod, Pod], now: list[float]
) -> None:
    first, second = pods
    mails = [await post.accepted(f"x{n}@far.test", sender=ANNA, auth=ANNA) for n in range(500)]
    for at in range(0, 200, 20):
        await first.route(*mails[at : at + 20])
    await first.warden.round()
    now[0] += 3.0
    sent = len(post.sent)
    for at in range(200, 500, 20):
        await second.route(*mails[at : at + 20])
        await second.route(*mails[at : at + 20])  # redelivered by the broker
    assert len(post.sent) == sent
    assert await _states(post, mails) == {"held": 500}
    await second.warden.round()
    assert len(await alarms.alarms(post.pool)) == 1

    assert await pausing.resume(post.pool, ANNA, "release")
    assert not await pausing.resume(post.pool, ANNA, "release")
    post.sent.clear()
    await first.warden.round()
    await second.warden.round()

    assert await _states(post, mails) == {"deferred": 500}
    went = Counter(envelope.id for _, envelope in post.sent)
    assert went == Counter(mail.id for mail in mails)
    assert await post.pool.fetchval("select count(*) from republish") == 0
    now[0] += 3.0
    assert await first.outgoing.at_mail(MAIL) is None
    assert (await counting.today(post.pool, ANNA)).recipients == 0  # begins anew


async def test_a_pod_that_dies_while_it_lets_go_leaves_the_rest_to_others(
    post: Post, pods: tuple[Pod, Pod]
) -> None:
    first, second = pods
    await pausing.pause(post.pool, ANNA, "hold", "operator")
    mails = [await post.accepted(f"x{n}@far.test", sender=ANNA, auth=ANNA) for n in range(3)]
    await first.route(*mails)
    assert await first.outgoing.at_mail(MAIL) is None  # it may submit; it is held
    assert post.sent == []
    await pausing.resume(post.pool, ANNA, "release")
    # It saw the pause before, and holds what comes behind the release.
    late = await post.accepted("late@far.test", sender=ANNA, auth=ANNA)
    post.is_broker_away = True
    with pytest.raises(Unavailable):
        await first.warden.round()  # changed the ledger, published nothing
    post.is_broker_away = False
    [row] = await post.pool.fetch("select count(*) as marks from republish")
    assert row["marks"] > 0  # the sweeper publishes them
    await first.route(late)
    await second.warden.round()

    marked = await ledger.claim_marked(post.pool, timedelta(0), 100)
    went = {each.id for each in marked.envelopes} | {each.id for _, each in post.sent}
    assert went == {mail.id for mail in (*mails, late)}
    assert (await _states(post, [*mails, late]))["held"] == 0


async def test_what_is_discarded_ends_by_a_rule(post: Post, pods: tuple[Pod, Pod]) -> None:
    await pausing.pause(post.pool, ANNA, "pause", "operator", actor="eva")
    mail = await post.accepted("x@far.test", BERT, sender=ANNA, auth=ANNA)
    await pods[0].route(mail)
    assert [row[2] for row in await post.states(mail)] == ["held", "held"]

    await pausing.resume(post.pool, ANNA, "discard")
    await pods[0].warden.round()

    assert [row[2] for row in await post.states(mail)] == ["discarded", "discarded"]
    assert post.sent == []


async def test_failures_outside_are_counted_once_and_hold_its_mail(
    post: Post, pods: tuple[Pod, Pod]
) -> None:
    mails = [await post.accepted(f"x{n}@far.test", sender=ANNA, auth=ANNA) for n in range(4)]
    await pods[0].route(*mails)
    for mail in mails:
        gone = Bounced(n=0, status=Status(550, (5, 1, 1)), reply="no such user")
        await ledger.settle(post.pool, mail.id, [gone], 0)

    await pods[0].warden.round()
    await pods[1].warden.round()

    assert (await counting.today(post.pool, ANNA)).failures == 4
    [paused] = await pausing.paused(post.pool)
    assert (paused.kind, paused.rule) == ("hold", "failures")


async def test_what_could_not_be_told_is_told_later(post: Post, pods: tuple[Pod, Pod]) -> None:
    mail = await post.accepted("x@far.test", "y@far.test", sender=ANNA, auth=ANNA)
    await pods[0].route(mail)
    counts = pods[0].outgoing.counted()
    pods[0].outgoing.uncounted(counts)
    await pods[0].warden.round()

    today = await counting.today(post.pool, ANNA)
    assert (today.messages, today.recipients, today.strangers) == (1, 2, 2)


def replace_auth(account: str) -> MailQuestion:
    return MailQuestion(sender=account, auth=account, client="192.0.2.1")


def replace_size(mail: Inbound, size: int) -> Inbound:
    return Inbound(
        id=mail.id, sender=mail.sender, size=size, auth=mail.auth, recipients=mail.recipients
    )


async def _signed(octets: bytes) -> bytes:
    return b"DKIM-Signature: of ours\r\n" + octets


async def _usual(post: Post, account: str, recipients: int) -> None:
    await post.pool.execute(
        "insert into outbound_days (account, day, recipients)"
        " select $1, current_date - n, $2 from generate_series(1, 14) as n",
        account,
        recipients,
    )


async def _contact(post: Post, address: str) -> None:
    await add_tenant(post.pool, "acme")
    await assign_domain(post.pool, "example.test", "acme")
    assert await alarms.set_contact(post.pool, "acme", address)


async def _deferred(post: Post, mail: Inbound) -> None:
    await post.pool.execute(
        "update recipients set state = 'deferred', next_attempt_at = now() + interval '1 hour'"
        " where envelope = $1",
        mail.id,
    )


async def _states(post: Post, mails: list[Inbound]) -> Counter[str]:
    idents: list[UUID] = [mail.id for mail in mails]
    rows = await post.pool.fetch("select state from recipients where envelope = any($1)", idents)
    assert all(isinstance(envelope, Remote) for _, envelope in post.sent)
    return Counter(row["state"] for row in rows)
