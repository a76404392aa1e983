"""Maps on a real ledger: who it goes to, by which way, who gets a copy, and who waits."""

from __future__ import annotations

from functools import partial

import pytest

from policy_engine.content.case import Case
from policy_engine.enquiries import Enquiries, Memory, Networks
from policy_engine.leaving import leaving
from policy_engine.maps.book import Book
from policy_engine.srs import Rewriter
from posthouse.bus.topology import LOCAL
from posthouse.mail.admission import RcptQuestion
from posthouse.mail.envelope import Local, Remote
from posthouse.mail.ids import new_id
from posthouse.mail.maps import entry_of
from posthouse.storage import directory, ledger
from posthouse.storage.directory.senders import resolve_senders
from posthouse.storage.ledger import Choice
from posthouse.storage.maps import entries, remove_entry, set_entries, shape
from posthouse.storage.pool import Pool, transaction
from support.routing import RETURNS, Post

pytestmark = pytest.mark.integration


async def write(post: Post, *lines: str) -> None:
    made = [entry_of(kind, key, targets) for kind, key, *targets in map(str.split, lines)]
    await set_entries(post.pool, made)
    object.__setattr__(post.routing, "maps", Book(partial(shape, post.pool)).current)


async def test_a_canonical_map_changes_sender_and_recipient(post: Post) -> None:
    await write(
        post, "recipient-canonical a.n.na@example.test anna@example.test",
        "sender-canonical @far.test @near.test",
    )  # fmt: skip
    mail = await post.accepted("a.n.na@example.test", sender="eve@far.test")

    await post.routing.route([mail])

    [(road, local)] = post.sent
    assert road == LOCAL
    assert isinstance(local, Local)
    assert local.sender == "eve@near.test"
    assert [to.address for to in local.recipients] == ["anna@example.test"]


async def test_single_addresses_go_by_servers_of_their_own(post: Post) -> None:
    await write(
        post, "transport anna@example.test old.test:25", "transport x@far.test relay.test:587",
        "transport @other.test lmtp:box.test:24",
    )  # fmt: skip
    mail = await post.accepted(
        "anna@example.test",
        "x@far.test",
        "y@far.test",
        "new@other.test",
        sender="bert@example.test",
    )

    await post.routing.route([mail])

    ways = {
        to.address: each.via
        for _, each in post.sent
        if isinstance(each, Remote)
        for to in each.recipients
    }
    assert ways == {
        "anna@example.test": "smtp:old.test:25",
        "x@far.test": "smtp:relay.test:587",
        "y@far.test": "",
        "new@other.test": "lmtp:box.test:24",
    }


async def test_a_copy_is_sent_of_which_nobody_is_told(post: Post) -> None:
    await write(post, "sender-bcc * bert@example.test", "recipient-bcc @far.test gone@example.test")
    mail = await post.accepted("anna@example.test", "x@far.test")

    await post.routing.route([mail])
    await post.routing.route([mail])

    states = {(address, state) for _, address, state, _ in await post.states(mail)}
    assert states == {
        ("anna@example.test", "expanded"), ("anna@example.test", "routed"),
        ("x@far.test", "routed"), ("bert@example.test", "routed"),
        ("gone@example.test", "bounced"),
    }  # fmt: skip
    assert post.told == []


async def test_a_report_is_copied_to_nobody(post: Post) -> None:
    await write(post, "sender-bcc * bert@example.test")
    mail = await post.accepted("anna@example.test", sender="")

    await post.routing.route([mail])

    assert [address for _, address, _, _ in await post.states(mail)] == ["anna@example.test"]


async def test_held_mail_waits_for_an_operator_and_goes_when_he_lets_it(post: Post) -> None:
    await write(post, "hold-sender @far.test looked-at-first")
    mail = await post.accepted("x@near.test", sender="eve@far.test")

    await post.routing.route([mail])
    await post.routing.route([mail])

    assert post.sent == []
    [waiter] = await ledger.list_waiting(post.pool, Choice(state="held"))
    assert (waiter.recipient, waiter.reply) == ("x@near.test", "looked-at-first")
    async with transaction(post.pool) as tx:
        let_go = await ledger.let_go(tx, [(waiter.id, waiter.n)])
    assert let_go.due == ((mail.id, 0),)
    await post.routing.route([mail])
    assert [state for _, _, state, _ in await post.states(mail)] == ["deferred"]


async def test_mail_for_a_mailbox_here_is_held_and_let_go_likewise(post: Post) -> None:
    await write(post, "hold-recipient anna@example.test on-leave")
    mail = await post.accepted("anna@example.test")
    await post.routing.route([mail])
    assert post.sent == []
    [waiter] = await ledger.list_waiting(post.pool, Choice(state="held"))
    place = (waiter.id, waiter.n)

    async with transaction(post.pool) as tx:
        assert (await ledger.bounce(tx, [place], "no")).places == ()
        let_go = await ledger.let_go(tx, [place])

    [local] = await ledger.all_envelopes_at(post.pool, let_go.due)
    assert isinstance(local, Local)
    assert local.recipients[0].account == post.accounts["anna@example.test"]
    assert await ledger.list_waiting(post.pool, Choice()) == []


async def test_who_moved_is_told_to_the_sender(post: Post) -> None:
    await write(post, "relocated anna@example.test anna@near.test")
    mail = await post.accepted("anna@example.test")

    await post.routing.route([mail])

    [row] = await post.pool.fetch(
        "select status, reply from recipients where envelope = $1", mail.id
    )
    assert (row["status"], row["reply"]) == ("550 5.1.6", "User has moved to anna@near.test")


async def test_whether_mail_leaves_is_known_before_it_is_routed(post: Post) -> None:
    await directory.set_alias(post.pool, "out@example.test", ["bert@example.test", "x@far.test"])
    await write(post, "virtual old@example.test x@near.test", "transport box@other.test box.test")
    leaves = leaving(post.routing.plans)

    async def told(*recipients: str) -> bool:
        return await leaves(
            Case(id=new_id(), client="192.0.2.1", octets=b"", size=0, recipients=recipients)
        )

    assert not await told("anna@example.test", "bert+x@example.test", "nobody@example.test")
    for each in ("out@example.test", "old@example.test", "box@other.test", "x@far.test"):
        assert await told("anna@example.test", each)


async def test_what_is_written_again_changes_nothing(pool: Pool) -> None:
    made = [entry_of("virtual", f"a{n}@a.test", [f"b{n}@b.test"]) for n in range(1500)]

    assert await set_entries(pool, made) == 1500
    assert await set_entries(pool, made) == 0
    assert await set_entries(pool, [entry_of("virtual", "a7@a.test", ["c@b.test"])]) == 1
    assert len(await entries(pool, limit=2000, kind="virtual")) == 1500
    await remove_entry(pool, "virtual", "a7@a.test")
    with pytest.raises(directory.NoSuchEntry):
        await remove_entry(pool, "virtual", "a7@a.test")


async def test_a_domain_chooses_what_parts_a_detail(post: Post) -> None:
    await directory.set_delimiters(post.pool, "example.test", "-=")
    mail = await post.accepted(
        "anna-lists@example.test", "bert=x@example.test", "bert+x@example.test"
    )

    await post.routing.route([mail])

    [(_, local)] = post.sent
    assert isinstance(local, Local)
    assert [(to.address, to.folder) for to in local.recipients] == [
        ("anna-lists@example.test", "lists"), ("bert=x@example.test", "x"),
    ]  # fmt: skip


async def test_who_a_map_knows_is_taken_at_the_door(post: Post) -> None:
    await write(
        post, "canonical old@example.test anna@example.test", "virtual @other.test @example.test",
        "virtual list@example.test x@far.test", "transport @far.test relay.test",
        "relocated carl@example.test carl@near.test", "transport dora@example.test box.test:25",
        "canonical @near.test @example.test",
    )  # fmt: skip
    enquiries = Enquiries(
        memory=Memory(partial(directory.resolve, post.pool)),
        lent=Memory(partial(directory.lent, post.pool)),
        networks=Networks(post.pool, []),
        rewriter=Rewriter(b"0123456789abcdef"),
        returns=RETURNS,
        senders=Memory(partial(resolve_senders, post.pool)),
        maps=post.routing.maps,
    )

    async def answer(recipient: str) -> str:
        asked = RcptQuestion(recipient=recipient, sender="eve@far.test", client="192.0.2.1")
        verdict = await enquiries.answer(asked)
        return f"{verdict.code} {verdict.rule}"

    assert await answer("old@example.test") == "250 account"
    assert await answer("any@other.test") == "250 virtual map"
    assert await answer("list@example.test") == "250 virtual map"
    assert await answer("carl@example.test") == "550 relocated map"
    assert await answer("dora@example.test") == "250 transport map"
    assert await answer("nobody@example.test") == "550 unknown recipient"
    assert await answer("x@far.test") == "550 relay"
    assert await answer("anna@near.test") == "550 relay", "no map lets strangers relay"
