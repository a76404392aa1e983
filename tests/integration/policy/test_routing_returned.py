"""Mail that came back is noted before it is sent on; mail to the suppressed bounces by that rule."""

from __future__ import annotations

import pytest

from policy_engine.held_back import LOOK_EVERY, SuppressionList
from posthouse.mail.address import parse_address
from posthouse.mail.envelope import Local
from posthouse.mail.ids import new_id
from posthouse.storage.directory.senders import Sender, set_sender
from posthouse.storage.incoming import IncomingReport, take_unread
from posthouse.storage.suppressing import suppress
from support.routing import RETURNS, Post

pytestmark = pytest.mark.integration


async def test_a_bounce_is_noted_once_and_delivered_to_whose_mail_it_was(post: Post) -> None:
    subject = new_id()
    path = RETURNS.verp(parse_address("anna@example.test"), subject, 3, "x@far.test")
    assert path is not None
    bounce = await post.accepted(path, sender="")
    ordinary = await post.accepted("anna@example.test", sender="")

    await post.routing.route([bounce, ordinary])
    await post.routing.route([bounce])

    assert await take_unread(post.pool) == IncomingReport(
        id=bounce.id, size=bounce.size, subject=subject, address="x@far.test"
    )
    delivered = [one for _, one in post.sent if isinstance(one, Local)]
    assert {to.address for one in delivered for to in one.recipients} == {"anna@example.test"}
    assert {to.folder for one in delivered for to in one.recipients} == {""}


async def test_the_suppressed_get_nothing_and_their_sender_hears_why(post: Post) -> None:
    await set_sender(post.pool, "example.test", Sender(language="de"))
    await suppress(post.pool, "bert@far.test", "example.test", "asked us to")
    sender = "anna@example.test"
    mail = await post.accepted("Bert@far.test", "x@far.test", sender=sender, auth=sender)

    await post.routing.route([mail])
    await post.routing.route([mail])

    assert [(n, state) for n, _, state, _ in await post.states(mail)] == [
        (0, "bounced"), (1, "routed"),
    ]  # fmt: skip
    (report,) = post.told
    octets = await post.blobs.get(report.blob)
    assert b"Subject: Ihre Nachricht konnte nicht zugestellt werden" in octets
    assert b"Status: 5.7.1" in octets
    assert b"Suppression list: nothing is sent to this recipient" in octets
    row = await post.pool.fetchrow(
        "select status, reply from recipients where envelope = $1 and n = 0", mail.id
    )
    assert row is not None
    assert tuple(row.values()) == (
        "550 5.7.1", "Suppression list: nothing is sent to this recipient",
    )  # fmt: skip


async def test_others_may_write_to_them_and_reports_are_never_held_back(post: Post) -> None:
    await suppress(post.pool, "bert@far.test", "example.test")
    other = await post.accepted("bert@far.test", sender="carl@other.test")
    report = await post.accepted("bert@far.test", sender="")

    await post.routing.route([other, report])

    for mail in (other, report):
        assert [state for _, _, state, _ in await post.states(mail)] == ["routed"]


async def test_an_empty_list_is_not_asked_and_its_first_row_counts_within_seconds(
    post: Post,
) -> None:
    now = 0.0
    listed = SuppressionList(post.pool, clock=lambda: now)
    pair = ("anna@example.test", "bert@far.test")
    assert await listed.held_back([pair]) == {}

    await suppress(post.pool, "bert@far.test", "*")
    assert await listed.held_back([pair]) == {}
    now += LOOK_EVERY.total_seconds() + 0.1
    assert await listed.held_back([pair]) == {pair: "manual"}
