"""TLS in the database: what operators set, what others publish, how sessions went."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from posthouse.mail.address import BadAddress
from posthouse.mail.tls_words import TlsPolicy
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry
from posthouse.storage.directory.tls_policies import (
    remove_tls_policy,
    set_tls_policy,
    tls_policies,
)
from posthouse.storage.dmarc_results import DMARC_DAYS
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.report_days import KEEP, Due, ReportDays
from posthouse.storage.sts_policies import (
    StsRow,
    forget_sts,
    keep_sts,
    note_sts_failure,
    sts_row,
    sts_rows,
)
from posthouse.storage.tls_results import (
    MAX_ROWS,
    TLS_DAYS,
    Result,
    add_results,
    list_results,
    results_of,
)

pytestmark = pytest.mark.integration

TODAY = date(2026, 11, 22)
YESTERDAY = TODAY - timedelta(days=1)
FIRST = (date.min, "", "", "", "", "", "")
PIN = "ab" * 32
GOOD = Result(day=YESTERDAY, domain="b.test", kind="sts", policy=("mode: enforce",))
BAD = replace(GOOD, failure="validation-failure", host="mx.b.test", address="192.0.2.1", why="no")


async def test_a_policy_is_set_replaced_and_removed(pool: Pool) -> None:
    await set_tls_policy(pool, TlsPolicy(domain="B.test", level="encrypt"))
    colons = ":".join(["AB"] * 32)
    pinned = TlsPolicy(
        domain="b.test", level="fingerprint", names=("MX.b.test.", "*.c.test"),
        pins=(colons, f"sha256:{PIN}"), certificate=True,
    )  # fmt: skip
    await set_tls_policy(pool, pinned)
    await set_tls_policy(pool, TlsPolicy(domain="*", level="may"))

    assert await tls_policies(pool) == (
        TlsPolicy(domain="*", level="may"),
        replace(pinned, names=("mx.b.test", "*.c.test"), pins=(PIN,)),
    )
    await remove_tls_policy(pool, "B.TEST")
    assert len(await tls_policies(pool)) == 1
    with pytest.raises(NoSuchEntry):
        await remove_tls_policy(pool, "b.test")


@pytest.mark.parametrize(
    "policy",
    [
        TlsPolicy(domain="b.test", level="fingerprint"),
        TlsPolicy(domain="b.test", level="verify", pins=(PIN,)),
        TlsPolicy(domain="b.test", level="fingerprint", pins=("abc",)),
        TlsPolicy(domain="b.test", level="verify", names=("a b",)),
        TlsPolicy(domain="b.test", level="verify", names=("*",)),
        TlsPolicy(domain="b.test", level="fingerprint", pins=(PIN[:-2],) * 30),
    ],
)
async def test_what_cannot_be_is_refused(pool: Pool, policy: TlsPolicy) -> None:
    with pytest.raises(DirectoryError):
        await set_tls_policy(pool, policy)
    with pytest.raises(BadAddress):
        await set_tls_policy(pool, TlsPolicy(domain="not a domain", level="may"))


async def test_a_failure_leaves_the_policy_that_is_known(pool: Pool) -> None:
    now = datetime.now(UTC)
    fetched = StsRow(
        domain="b.test", id="1", mode="enforce", mx=("mx.b.test",), max_age=timedelta(days=7),
        fetched=now, tried=now, tried_id="1",
    )  # fmt: skip
    await keep_sts(pool, fetched)
    assert await sts_row(pool, "b.test") == fetched

    later = now + timedelta(hours=1)
    failure = StsRow(domain="b.test", tried=later, tried_id="2", fault="no answer")
    await note_sts_failure(pool, failure)
    await note_sts_failure(pool, replace(failure, domain="c.test"))

    known = replace(fetched, tried=later, tried_id="2", fault="no answer")
    assert await sts_row(pool, "b.test") == known
    assert await sts_rows(pool, "", 10) == (known, replace(failure, domain="c.test"))
    assert await sts_rows(pool, "", 10, domain="b.test") == (known,)
    assert await sts_row(pool, "d.test") is None


async def test_a_slower_pod_does_not_bring_an_older_policy_back(pool: Pool) -> None:
    now = datetime.now(UTC)
    new = StsRow(domain="b.test", id="2", mode="none", fetched=now, tried=now, tried_id="2")
    earlier = now - timedelta(seconds=5)
    await keep_sts(pool, new)
    await keep_sts(pool, replace(new, id="1", tried_id="1", mode="enforce", fetched=earlier))

    assert await sts_row(pool, "b.test") == new


async def test_what_ran_out_and_nobody_asks_for_is_forgotten(pool: Pool) -> None:
    old = datetime.now(UTC) - timedelta(days=31)
    short = StsRow(
        domain="a.test", id="1", mode="enforce", max_age=timedelta(days=7), fetched=old, tried=old,
        tried_id="1",
    )  # fmt: skip
    await keep_sts(pool, short)
    await keep_sts(pool, replace(short, domain="b.test", max_age=timedelta(days=300)))
    await note_sts_failure(pool, StsRow(domain="c.test", tried=old, tried_id="1", fault="no"))

    assert await forget_sts(pool) == 2
    assert [row.domain for row in await sts_rows(pool, "", 10)] == ["b.test"]


async def test_sessions_of_one_kind_are_counted_together(pool: Pool) -> None:
    await add_results(pool, [GOOD, replace(BAD, sessions=2)])
    await add_results(pool, [replace(GOOD, sessions=4), replace(BAD, why="never"), GOOD])
    await add_results(pool, [])

    good, bad = await results_of(pool, YESTERDAY, "b.test")
    assert good.sessions == 6
    assert (bad.sessions, bad.why, bad.policy) == (3, "never", ("mode: enforce",))
    assert await list_results(pool, FIRST, 10, {"failures": True}) == (bad,)
    assert await list_results(pool, FIRST, 10, {"domain": "x.test"}) == ()
    assert await list_results(pool, FIRST, 1, {"day": YESTERDAY}) == (good,)
    assert await list_results(pool, good.key, 10, {"domain": "b.test"}) == (bad,)


async def test_failures_are_told_apart_by_our_own_addresses(pool: Pool) -> None:
    ours = [replace(BAD, source=source) for source in ("192.0.2.8", "192.0.2.9", "192.0.2.8")]
    for one in ours:
        await add_results(pool, [one])

    found = await results_of(pool, YESTERDAY, "b.test")
    assert [(result.source, result.sessions) for result in found] == [
        ("192.0.2.8", 2), ("192.0.2.9", 1),
    ]  # fmt: skip
    assert await list_results(pool, found[0].key, 10, {}) == found[1:]


async def test_a_domain_with_many_failing_servers_is_bounded(pool: Pool) -> None:
    many = [replace(BAD, host=f"mx{n}.b.test") for n in range(MAX_ROWS)]
    await add_results(pool, many)
    await add_results(pool, [replace(BAD, host=f"more{n}.b.test") for n in range(500)])
    await add_results(pool, [replace(BAD, domain="c.test"), GOOD])

    found = await results_of(pool, YESTERDAY, "b.test")
    assert len(found) == MAX_ROWS + 2
    assert sum(result.sessions for result in found) == MAX_ROWS + 501
    assert [result.sessions for result in found if result.failure and not result.host] == [500]
    assert len(await results_of(pool, YESTERDAY, "c.test")) == 1


def due(domain: str, day: date = YESTERDAY, *, is_mailed: bool = False) -> Due:
    return Due(day=day, domain=domain, is_mailed=is_mailed)


async def told(pool: Pool, days: ReportDays = TLS_DAYS) -> list[tuple[str, bool, str]]:
    return [(each.domain, each.done, each.how) for each in await days.sent(pool, (date.min, ""), 9)]


async def test_a_day_that_is_over_is_reported_once(pool: Pool) -> None:
    await add_results(pool, [GOOD, BAD, replace(GOOD, domain="c.test"), replace(GOOD, day=TODAY)])
    assert await TLS_DAYS.due(pool, TODAY, 10) == [due("b.test"), due("c.test")]

    await TLS_DAYS.done(pool, due("b.test"), "mailed")
    await TLS_DAYS.put_off(pool, due("c.test"), "503", timedelta(minutes=10))
    assert await TLS_DAYS.due(pool, TODAY, 10) == []

    await pool.execute("update tls_reports set again_at = now(), first_at = now() - interval '1 h'")
    assert await TLS_DAYS.due(pool, TODAY, 10) == [due("c.test")]
    await TLS_DAYS.put_off(pool, due("c.test"), "503", timedelta(minutes=10))
    left = await pool.fetchval("select again_at - now() from tls_reports where domain = 'c.test'")
    assert isinstance(left, timedelta)
    assert timedelta(minutes=50) < left < timedelta(minutes=61)

    await pool.execute("update tls_reports set again_at = now(), first_at = now() - interval '1 d'")
    await TLS_DAYS.put_off(pool, due("c.test"), "gone", timedelta(minutes=10))
    assert await TLS_DAYS.due(pool, TODAY, 10) == []
    assert await told(pool) == [("b.test", True, "mailed"), ("c.test", True, "gone")]
    assert len(await TLS_DAYS.sent(pool, (date.min, ""), 10, "c.test")) == 1


@pytest.mark.parametrize("days", [TLS_DAYS, DMARC_DAYS])
async def test_a_mail_is_claimed_once_also_after_a_failure(pool: Pool, days: ReportDays) -> None:
    for first in (False, True):
        one = due(f"{first}.test")
        if first:
            await days.put_off(pool, one, "DNS", timedelta())
        async with transaction(pool) as tx:
            assert await days.claim(tx, one)
            assert not await days.claim(tx, one)
    assert await told(pool, days) == [
        ("False.test", False, "mailed"),
        ("True.test", False, "mailed"),
    ]

    await days.done(pool, due("True.test"), "a@b.test")
    await days.put_off(pool, due("True.test"), "late", timedelta())
    async with transaction(pool) as tx:
        assert not await days.claim(tx, due("True.test"))
    assert (await told(pool, days))[1] == ("True.test", True, "a@b.test")


async def test_what_was_mailed_only_is_posted_still(pool: Pool) -> None:
    await add_results(pool, [GOOD])
    async with transaction(pool) as tx:
        await TLS_DAYS.claim(tx, due("b.test"))
    assert await TLS_DAYS.due(pool, TODAY, 10) == [due("b.test", is_mailed=True)]


async def test_old_days_are_forgotten(pool: Pool) -> None:
    old = TODAY - KEEP - timedelta(days=1)
    await add_results(pool, [GOOD, replace(GOOD, day=old)])
    await TLS_DAYS.done(pool, due("b.test", old), "mailed")

    assert await TLS_DAYS.forget(pool, TODAY) == 1
    assert await told(pool) == []
