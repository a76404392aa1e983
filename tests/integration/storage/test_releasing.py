"""What is deferred for a domain is due at once when it is released (RFC 1985)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.mail.ids import new_id
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.storage import ledger
from posthouse.storage.ledger import Branch, Kept
from posthouse.storage.pool import Pool
from support.ledger import a_mail, rows_of

pytestmark = pytest.mark.integration

AWAY = Status(451, (4, 4, 1))


async def deferred(pool: Pool, *addresses: str, hours: int = 4) -> tuple[UUID, datetime]:
    """Enter a mail to ``addresses``, route it to the outside and defer all; return id and time."""
    mail = a_mail(*addresses)
    until = datetime.now(UTC) + timedelta(hours=hours)
    await ledger.enter(pool, [mail])
    await ledger.routed(
        pool,
        [
            (mail.id, Kept(n, Branch(road="remote", address=a, domain=a.rpartition("@")[2])))
            for n, a in enumerate(addresses)
        ],
    )
    outcomes = [
        Deferred(n=n, status=AWAY, reply="away", host="", until=until)
        for n in range(len(addresses))
    ]
    await ledger.settle(pool, mail.id, outcomes, 3, [])
    return mail.id, until


async def test_only_the_deferred_of_the_domain_become_due_and_only_once(pool: Pool) -> None:
    ident, until = await deferred(pool, "a@site.test", "b@site.test", "c@other.test")
    await deferred(pool, "d@notsite.test")

    [envelope] = await ledger.release(pool, "site.test", below=False, limit=100)
    again = await ledger.release(pool, "site.test", below=False, limit=100)
    rows = await rows_of(pool, ident)

    assert (envelope.id, envelope.domain, envelope.attempts) == (ident, "site.test", 3)
    assert [to.address for to in envelope.recipients] == ["a@site.test", "b@site.test"]
    assert again == []
    assert rows[0]["next_attempt_at"] <= datetime.now(UTC)
    assert rows[0]["state"] == "deferred"
    assert rows[2]["next_attempt_at"] == until


async def test_subdomains_are_released_if_asked_for(pool: Pool) -> None:
    await deferred(pool, "a@site.test")
    await deferred(pool, "a@sub.site.test")
    await deferred(pool, "a@notsite.test", "a@site.test.example")

    released = await ledger.release(pool, "site.test", below=True, limit=100)

    assert sorted(each.domain for each in released) == ["site.test", "sub.site.test"]


async def test_the_oldest_go_first_up_to_the_limit(pool: Pool) -> None:
    idents = sorted([(await deferred(pool, "a@site.test"))[0] for _ in range(2)])

    [first] = await ledger.release(pool, "site.test", below=False, limit=1)
    [second] = await ledger.release(pool, "site.test", below=False, limit=1)

    assert [first.id, second.id] == idents


async def test_what_is_settled_or_not_yet_tried_is_left_alone(pool: Pool) -> None:
    mail = a_mail("a@site.test", ident=new_id())
    await ledger.enter(pool, [mail])

    assert await ledger.release(pool, "site.test", below=True, limit=10) == []
