"""Routing on a real ledger: decided once, published again the same, and nobody forgotten."""

from __future__ import annotations

import pytest

from posthouse.bus.topology import LOCAL, remote_road
from posthouse.mail.envelope import Inbound, Local, LocalRecipient, Remote
from posthouse.mail.errors import Unavailable
from posthouse.storage import directory
from support.routing import Post

pytestmark = pytest.mark.integration


async def test_one_envelope_per_road_and_destination(post: Post) -> None:
    mail = await post.accepted(
        "anna@example.test", "x@far.test", "bert+lists@example.test", "y@far.test", "z@near.test"
    )

    await post.routing.route([mail])

    anna, bert = post.accounts["anna@example.test"], post.accounts["bert@example.test"]
    to_anna = LocalRecipient(n=0, address="anna@example.test", account=anna)
    to_bert = LocalRecipient(n=2, address="bert+lists@example.test", account=bert, folder="lists")
    by_road = dict(post.sent)
    local = by_road[LOCAL]
    assert isinstance(local, Local)
    assert local.recipients == (to_anna, to_bert)
    far = [envelope for _, envelope in post.sent if isinstance(envelope, Remote)]
    assert [(one.domain, [r.address for r in one.recipients]) for one in far] == [
        ("far.test", ["x@far.test", "y@far.test"]),
        ("near.test", ["z@near.test"]),
    ]
    assert {road for road, one in post.sent if isinstance(one, Remote)} == {
        remote_road("far.test"), remote_road("near.test"),
    }  # fmt: skip


async def test_a_redelivered_message_takes_the_same_way_whatever_changed(post: Post) -> None:
    await directory.set_alias(post.pool, "team@example.test", ["anna@example.test", "x@far.test"])
    mail = await post.accepted("team@example.test", "bert@example.test")
    await post.routing.route([mail])
    first, states = list(post.sent), await post.states(mail)

    await directory.set_alias(post.pool, "team@example.test", ["bert@example.test"])
    await directory.set_forward(post.pool, "bert@example.test", ["y@far.test"], keep_copy=False)
    post.sent.clear()
    await post.routing.route([mail])

    assert post.sent == first
    assert await post.states(mail) == states
    assert [state for _, _, state, _ in states].count("expanded") == 1


async def test_when_the_broker_is_away_the_decision_stands_and_is_published_later(
    post: Post,
) -> None:
    mail = await post.accepted("anna@example.test")
    post.is_broker_away = True
    with pytest.raises(Unavailable):
        await post.routing.route([mail])

    post.is_broker_away = False
    await post.routing.route([mail])

    assert [road for road, _ in post.sent] == [LOCAL]


async def test_a_forward_to_the_outside_has_a_way_back(post: Post) -> None:
    await directory.set_forward(post.pool, "anna@example.test", ["x@far.test"], keep_copy=True)
    mail = await post.accepted("anna@example.test")
    await post.routing.route([mail])
    [remote] = [one for _, one in post.sent if isinstance(one, Remote)]
    assert remote.sender.startswith("SRS0=")
    post.sent.clear()

    bounce = await post.accepted(remote.sender, sender="")
    await post.routing.route([bounce])

    [(_, back)] = post.sent
    assert isinstance(back, Remote)
    assert (back.sender, back.recipients[0].address) == ("", "eve@far.test")


async def test_who_leads_nowhere_is_bounced_once_and_the_others_are_served(post: Post) -> None:
    await directory.set_alias(post.pool, "a@example.test", ["b@example.test"])
    await directory.set_alias(post.pool, "b@example.test", ["a@example.test"])
    mail = await post.accepted("gone@example.test", "a@example.test", "anna@example.test")

    await post.routing.route([mail])
    await post.routing.route([mail])

    assert [road for road, _ in post.sent] == [LOCAL, LOCAL]
    [report] = post.told
    assert isinstance(report, Inbound)
    assert (report.sender, report.recipients[0].address) == ("", "eve@far.test")
    text = await post.blobs.get(report.blob)
    assert b"gone@example.test" in text
    assert b"5.4.6" in text
    assert [(n, state) for n, _, state, _ in await post.states(mail)] == [
        (0, "bounced"), (1, "bounced"), (2, "routed"),
    ]  # fmt: skip


async def test_a_bounce_that_leads_nowhere_is_discarded_by_name(post: Post) -> None:
    mail = await post.accepted("gone@example.test", sender="")

    await post.routing.route([mail])

    assert not post.told
    assert not post.sent
    assert [state for _, _, state, _ in await post.states(mail)] == ["discarded"]


async def test_many_messages_are_routed_in_one_go(post: Post) -> None:
    mails = [await post.accepted("anna@example.test", "x@far.test") for _ in range(50)]

    moves = await post.routing.route(mails)

    assert len(moves) == len(mails)
    assert len(post.sent) == 2 * len(mails)


async def test_a_large_list_goes_out_in_portions(post: Post) -> None:
    targets = [f"u{n}@far.test" for n in range(250)]
    await directory.set_alias(post.pool, "list@example.test", targets, "owner@example.test")
    mail = await post.accepted("list@example.test")

    await post.routing.route([mail])

    portions = [one for _, one in post.sent if isinstance(one, Remote)]
    assert [len(one.recipients) for one in portions] == [100, 100, 50]
    assert {one.sender for one in portions} == {"owner@example.test"}
    assert {r.address for one in portions for r in one.recipients} == set(targets)


async def test_who_sent_under_anothers_name_is_told_and_nobody_gets_it(post: Post) -> None:
    mail = await post.accepted(
        "anna@example.test", "x@far.test", sender="boss@far.test", auth="bert@example.test"
    )

    await post.routing.route([mail])
    await post.routing.route([mail])

    assert not post.sent
    [report] = post.told
    assert isinstance(report, Inbound)
    assert (report.sender, report.recipients[0].address) == ("", "bert@example.test")
    assert b"5.7.1" in await post.blobs.get(report.blob)
    assert [row[2] for row in await post.states(mail)] == ["bounced", "bounced"]


async def test_an_account_sends_as_itself_and_as_its_alias(post: Post) -> None:
    await directory.set_alias(post.pool, "sales@example.test", ["bert@example.test"])
    for sender in ("bert@example.test", "bert+x@example.test", "sales@example.test", ""):
        post.sent.clear()
        mail = await post.accepted("anna@example.test", sender=sender, auth="bert@example.test")
        await post.routing.route([mail])
        assert [road for road, _ in post.sent] == [LOCAL], sender
