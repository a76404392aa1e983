"""What an operator demands of TLS with others, and sees of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from posthouse.mail.tls_words import TlsPolicy
from posthouse.storage.directory.tls_policies import tls_policies
from posthouse.storage.report_days import Due
from posthouse.storage.sts_policies import StsRow, keep_sts, note_sts_failure
from posthouse.storage.tls_results import TLS_DAYS, Result, add_results
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

PIN = "ab" * 32
DAY = date(2026, 11, 21)


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli("tls", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli("tls", *arguments)
    assert result.exit_code == 1, result.output
    return result.output


async def test_policies_are_set_listed_and_removed(clerk: LivePostmaster) -> None:
    assert "Nothing is set" in await done(clerk, "list")
    await done(clerk, "set", "B.test", "verify", "--server", "*.b.test", "--certificate")
    await done(clerk, "set", "relay.test", "fingerprint", "--pin", PIN, "--pin", PIN.upper())
    await done(clerk, "set", "*", "encrypt")

    assert await tls_policies(clerk.pool) == (
        TlsPolicy(domain="*", level="encrypt"),
        TlsPolicy(domain="b.test", level="verify", names=("*.b.test",), certificate=True),
        TlsPolicy(domain="relay.test", level="fingerprint", pins=(PIN,)),
    )
    listed = json.loads(await done(clerk, "list", "--json"))
    assert [row["level"] for row in listed] == ["encrypt", "verify", "fingerprint"]
    assert "*.b.test" in await done(clerk, "list")
    await done(clerk, "remove", "*")
    assert "No TLS policy is set" in await refused(clerk, "remove", "*")


async def test_who_demanded_what_stands_in_the_audit(clerk: LivePostmaster) -> None:
    await done(clerk, "set", "B.test", "dane-only", "--server", "*.b.test", "--certificate")
    await done(clerk, "remove", "b.test")
    await refused(clerk, "remove", "b.test")
    await refused(clerk, "set", "b.test", "fingerprint")

    entries = (await clerk.http.get("/audit")).json()["items"]
    assert [(e["action"], e["chosen"], e["detail"], e["changed"]) for e in entries] == [
        ("tls remove", "b.test", "", 1),
        ("tls set", "b.test", "dane-only --server *.b.test --certificate", 1),
    ]
    assert all(entry["actor"] and entry["ended_at"] for entry in entries)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("b.test", "always"), "level"),
        (("not a domain", "may"), "not a domain"),
        (("*.b.test", "may"), "not a domain"),
        (("b.test", "fingerprint"), "fingerprint"),
        (("b.test", "verify", "--pin", PIN), "fingerprint"),
        (("b.test", "fingerprint", "--pin", "12:34"), "64 hexadecimal digits"),
        (("b.test", "verify", "--server", "*"), "not the name of a server"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    clerk: LivePostmaster, arguments: tuple[str, ...], says: str
) -> None:
    assert says in (await refused(clerk, "set", *arguments)).lower()
    assert await tls_policies(clerk.pool) == ()


async def test_what_others_publish_and_how_sessions_went_is_seen(clerk: LivePostmaster) -> None:
    now = datetime.now(UTC)
    known = StsRow(
        domain="b.test", id="1", mode="enforce", mx=("mx.b.test",), max_age=timedelta(days=7),
        fetched=now, tried=now, tried_id="1",
    )  # fmt: skip
    good = Result(day=DAY, domain="b.test", kind="sts", sessions=7)
    bad = replace(good, failure="certificate-expired", host="mx.b.test", why="it ended")
    await keep_sts(clerk.pool, known)
    await note_sts_failure(
        clerk.pool, StsRow(domain="c.test", tried=now, tried_id="1", fault="503")
    )
    await add_results(clerk.pool, [good, bad, replace(good, day=DAY + timedelta(days=1))])
    await TLS_DAYS.done(clerk.pool, Due(day=DAY, domain="b.test"), "mailed to reports@b.test")

    assert "enforce" in await done(clerk, "known", "b.test")
    both = json.loads(await done(clerk, "known", "--json"))
    assert [(row["domain"], row["mode"], row["fault"]) for row in both] == [
        ("b.test", "enforce", ""),
        ("c.test", "", "503"),
    ]
    rows = json.loads(await done(clerk, "results", "b.test", "--day", "2026-11-21", "--json"))
    assert [(row["sessions"], row["failure"]) for row in rows] == [(7, ""), (7, bad.failure)]
    assert "it ended" in await done(clerk, "results", "--failures")
    assert "No session" in await done(clerk, "results", "c.test")
    assert "mailed to" in await done(clerk, "sent")
    assert "No report" in await done(clerk, "sent", "c.test")


async def test_listings_are_read_to_their_end(clerk: LivePostmaster) -> None:
    many = [Result(day=DAY, domain=f"d{n}.test", kind="no-policy-found") for n in range(1100)]
    await add_results(clerk.pool, many)

    assert len(json.loads(await done(clerk, "results", "--json"))) == 1100
    answer = await clerk.http.get("/tls/results", params={"after": "rubbish"})
    assert answer.status_code == 422
