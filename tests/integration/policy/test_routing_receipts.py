"""Aliases and groups, and what their senders asked to be told (RFC 3461 §5.2.7)."""

from __future__ import annotations

import pytest

from posthouse.mail.envelope import Inbound, Local, Remote
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.storage import directory
from support.routing import Post

pytestmark = pytest.mark.integration

ALL = Notify(on="SUCCESS,FAILURE,DELAY", orcpt="rfc822;Team@Example.test")
LESS = Notify(on="FAILURE,DELAY", orcpt="rfc822;Team@Example.test")
HANDLING = Handling(envid="QQ+3D1", ret="FULL", requiretls=True)
REPORTS = """
    select e.id from envelopes e join unpublished u using (id)
     where subject_id = $1 and origin = 'bounce'
"""


async def reports(post: Post, mail: Inbound) -> list[bytes]:
    """Return the reports on ``mail`` that the sweeper will publish."""
    rows = await post.pool.fetch(REPORTS, mail.id)
    keys = [Inbound(id=row["id"], sender="", size=1, recipients=()).blob for row in rows]
    return [await post.blobs.get(key) for key in keys]


async def test_an_alias_for_several_is_told_once_and_they_know_the_rest(post: Post) -> None:
    await directory.set_alias(post.pool, "team@example.test", ["anna@example.test", "x@far.test"])
    mail = await post.accepted("team@example.test", notify=ALL, handling=HANDLING)

    await post.routing.route([mail])
    await post.routing.route([mail])  # once more, by mistake

    (report,) = await reports(post, mail)
    assert b"\r\nFinal-Recipient: rfc822; team@example.test\r\nAction: expanded\r\n" in report
    onward = [envelope for _, envelope in post.sent]
    assert {each.handling for each in onward} == {HANDLING}
    wishes = {
        to.notify for each in onward if isinstance(each, Local | Remote) for to in each.recipients
    }
    assert wishes == {LESS}


async def test_a_groups_members_know_nothing_of_it(post: Post) -> None:
    await directory.set_alias(
        post.pool, "team@example.test", ["anna@example.test", "x@far.test"], owner="o@far.test"
    )
    mail = await post.accepted("team@example.test", notify=ALL, handling=HANDLING)

    await post.routing.route([mail])

    (report,) = await reports(post, mail)
    assert b"\r\nAction: delivered\r\n" in report
    for _, each in post.sent:
        assert each.sender == "o@far.test"
        assert each.handling == Handling(requiretls=True)
        assert {to.notify for to in each.recipients} == {DEFAULT}


async def test_a_dead_end_is_told_only_to_who_wants_to_know(post: Post) -> None:
    loud = await post.accepted("gone@example.test", notify=ALL)
    quiet = await post.accepted("gone@example.test", notify=Notify(on="NEVER"))

    await post.routing.route([loud, quiet])

    assert [state for *_, state, _ in await post.states(quiet)] == ["bounced"]
    assert len(post.told) == len(await reports(post, loud)) == 1
    assert await reports(post, quiet) == []


async def test_who_asks_for_nothing_sends_nothing_more_over_the_road(post: Post) -> None:
    mail = await post.accepted("anna@example.test")

    await post.routing.route([mail])

    ((_, envelope),) = post.sent
    assert envelope.handling is PLAIN
    assert await reports(post, mail) == []
