"""What entries of the lists hold: by client, header, rule and points; it waits with its reason, and is let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest

from policy_engine.content.bench import Bench, Marks
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Pipeline
from policy_engine.content.verdict import Levels
from policy_engine.lists.holding import HoldLists
from posthouse.mail.access_keys import Kind, key_of
from posthouse.mail.content import ContentQuestion
from posthouse.mail.envelope import Inbound
from posthouse.mail.ids import new_id
from posthouse.storage import ledger
from posthouse.storage.access import Entry, find_entries, news, put_entry
from posthouse.storage.ledger import Choice, claim_unpublished
from posthouse.storage.pool import Pool, transaction
from support.routing import Post

pytestmark = pytest.mark.integration

OCTETS = b"From: <boss@bank.test>\r\nSubject: Your  Invoice\r\nX-Mailer: Bulk Mate\r\n\r\nbody\r\n"
QUESTION = ContentQuestion(
    id=new_id(), hostname="mx.test", client="192.0.2.7", hello="mx.far.test",
    sender="eve@far.test", recipients=("anna@example.test",), size=len(OCTETS), octets=OCTETS,
)  # fmt: skip


@dataclass
class _Check:
    name: str = "check"
    if_away: Action | None = None
    wants_all: bool = False
    of_ours: bool = True
    of_strangers: bool = True

    async def __call__(self, case: Case) -> Sequence[Finding]:
        assert case.octets
        return [
            Finding(rule="Odd_Link", score=2.5),
            Finding(rule="TRIED", is_shadow=True, score=9),
        ]


async def _nobody(_client: str, _sender: str) -> bool:
    return False


def bench_of(pool: Pool, *checks: _Check, level: float | None = None) -> Bench:
    bench = Bench(Pipeline(None, checks, Levels(), timedelta(seconds=30)), [], _nobody, Marks(), 10)
    bench.holding = HoldLists(pool, level)
    return bench


async def hold(pool: Pool, kind: Kind, key: str, whose: str = "*", comment: str = "") -> None:
    key = key_of(kind, key)
    await put_entry(pool, Entry(whose=whose, kind=kind, key=key, action="hold", comment=comment))


@pytest.mark.parametrize(
    ("kind", "key", "reason"),
    [
        ("client", "192.0.2.0/24", "client 192.0.2.0/24"),
        ("header", "Subject: your invoice", "header subject: your invoice"),
        ("header", "X-Mailer", "header x-mailer"),
        ("hello", "far.test", "hello far.test"),
        ("author", "bank.test", "author bank.test"),
        ("sender", "eve@far.test", "sender eve@far.test"),
        ("recipient", "anna@example.test", "recipient anna@example.test"),
        ("rule", "odd_link", "rule ODD_LINK"),
        ("rule", "TRIED", ""),
        ("client", "198.51.100.0/24", ""),
    ],
)
async def test_what_fits_is_taken_and_held(pool: Pool, kind: Kind, key: str, reason: str) -> None:
    await hold(pool, kind, key)

    said = await bench_of(pool, _Check()).answer(QUESTION)

    assert (said.action, said.hold) == ("accept", reason)


async def test_it_concerns_mail_of_this_house_and_is_asked_even_if_nothing_else_is_checked(
    pool: Pool,
) -> None:
    assert (await bench_of(pool).answer(QUESTION)).rest_seconds > 0
    await hold(pool, "client", "192.0.2.7", comment="sends too much")

    ours = msgspec.structs.replace(QUESTION, auth="anna@example.test")

    assert (await bench_of(pool).answer(ours)).hold == "sends too much"
    assert (await bench_of(pool).answer(QUESTION)).hold == "sends too much"


async def test_the_list_of_one_recipient_holds_it_for_all(pool: Pool) -> None:
    await hold(pool, "sender", "far.test", whose="other.test")
    both = msgspec.structs.replace(QUESTION, recipients=("anna@example.test", "bert+x@other.test"))

    assert (await bench_of(pool, _Check()).answer(QUESTION)).hold == ""
    assert (await bench_of(pool, _Check()).answer(both)).hold == "sender far.test"


async def test_points_hold_from_their_level_on(pool: Pool) -> None:
    assert (await bench_of(pool, _Check(), level=2.5).answer(QUESTION)).hold == (
        "2.5 points of spam"
    )
    assert (await bench_of(pool, _Check(), level=2.6).answer(QUESTION)).hold == ""


async def test_who_allows_and_refuses_does_not_see_what_holds(pool: Pool) -> None:
    await hold(pool, "client", "192.0.2.7")

    found = await news(pool, None, 10)
    assert (found.kinds, found.digests) == (frozenset(), b"")
    assert await find_entries(pool, [("client", "192.0.2.7/32")], ["*"]) == ()


async def test_it_waits_with_its_reason_until_an_operator_lets_it_go(post: Post) -> None:
    post.judge_late(bench_of(post.pool, _Check()))
    await hold(post.pool, "rule", "ODD_LINK", comment="look at the link")
    mail = await post.accepted("x@near.test", unjudged=True)

    await post.routing.route([mail])
    await post.routing.route([mail])

    assert post.sent == []
    [waiter] = await ledger.list_waiting(post.pool, Choice(state="held"))
    assert (waiter.recipient, waiter.reply) == ("x@near.test", "look at the link")
    async with transaction(post.pool) as tx:
        let_go = await ledger.let_go(tx, [(waiter.id, waiter.n)])
    assert let_go.due == ((mail.id, 0),)
    await post.routing.route([mail])
    assert [state for _, _, state, _ in await post.states(mail)] == ["deferred"]


async def test_what_the_sweeper_publishes_waits_as_well(post: Post) -> None:
    mail = await post.accepted("anna@example.test")
    await post.pool.execute(
        """update envelopes set verdict = '{"action": "accept", "hold": "odd"}' where id = $1""",
        mail.id,
    )

    [found] = await claim_unpublished(post.pool, timedelta(), 10)

    assert isinstance(found, Inbound)
    await post.routing.route([found])
    [waiter] = await ledger.list_waiting(post.pool, Choice(state="held"))
    assert waiter.reply == "odd"
