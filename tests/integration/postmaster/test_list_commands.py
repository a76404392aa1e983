"""Lists and greylisting: what an operator says and sees."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from posthouse.storage import directory
from posthouse.storage.greylisting import GreylistTerms, Triplet, ask_greylist
from postmaster.duties.lists import tidy_lists
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli("policy", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


async def rows(clerk: LivePostmaster, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await done(clerk, *arguments, "--json"))
    return found


async def test_zones_are_set_changed_and_removed(clerk: LivePostmaster) -> None:
    await done(clerk, "zone", "set", "Key.Zen.test", "--codes", "2=3 4-7=2", "--title", "zen")
    await done(clerk, "zone", "set", "dbl.test", "--asks", "sender", "--asks", "link")
    await done(clerk, "zone", "set", "good.test", "--weight", "-5")

    found = await rows(clerk, "zone", "list")
    assert [(each["zone"], each["asks"], each["weight"], each["codes"]) for each in found] == [
        ("dbl.test", ["sender", "link"], 1.0, ""),
        ("good.test", ["client"], -5.0, ""),
        ("key.zen.test", ["client"], 1.0, "2=3 4-7=2"),
    ]
    await done(clerk, "zone", "remove", "dbl.test")
    assert len(await rows(clerk, "zone", "list")) == 2
    assert (await clerk.cli("policy", "zone", "remove", "dbl.test")).exit_code == 1
    audited = json.loads((await clerk.cli("audit", "list", "--json")).stdout)
    assert ("list zone set", "zen") in [(each["action"], each["chosen"]) for each in audited]


async def test_entries_are_written_as_they_are_looked_up(clerk: LivePostmaster) -> None:
    await done(clerk, "access", "deny", "sender", "@Far.Test", "--comment", "spam", "--days", "7")
    await done(clerk, "access", "allow", "client", "192.0.2.0/24", "--whose", "example.test")
    await done(clerk, "access", "allow", "hello", "mx.far.test", "--force")
    await done(clerk, "access", "score", "header", "X-Mailer:  Bulk   Mate", "--", "-2.5")
    refused = await clerk.cli("policy", "access", "allow", "header", "X-Good: yes")

    assert refused.exit_code == 1
    assert "forced" in refused.output
    found = await rows(clerk, "access", "list")
    assert [(each["kind"], each["key"], each["action"], each["score"]) for each in found] == [
        ("client", "192.0.2.0/24", "allow", 0),
        ("header", "x-mailer: bulk mate", "score", -2.5),
        ("hello", "mx.far.test", "allow", 0),
        ("sender", "far.test", "deny", 0),
    ]
    assert [each["key"] for each in await rows(clerk, "access", "list", "--whose", "*")] == [
        "x-mailer: bulk mate", "mx.far.test", "far.test",
    ]  # fmt: skip
    await done(clerk, "access", "remove", "client", "192.0.2.0/24", "--whose", "example.test")
    await done(clerk, "access", "remove", "header", "x-mailer: bulk mate")
    assert len(await rows(clerk, "access", "list")) == 2
    assert (await clerk.cli("policy", "access", "remove", "sender", "a@b.test")).exit_code == 1


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("/policy/zones/not a zone", {}),
        ("/policy/zones/zone.test", {"codes": "nonsense"}),
        ("/policy/zones/zone.test", {"asks": []}),
        ("/policy/zones/zone.test", {"text": "gr\u00fc\u00dfe"}),
        ("/policy/access/*/client/192.0.2.1%2F24", {"action": "deny"}),
        ("/policy/access/*/client/2001:db8::%2F33", {"action": "deny"}),
        ("/policy/access/*/sender/not a domain", {"action": "deny"}),
        ("/policy/access/*/colour/red", {"action": "deny"}),
        ("/policy/access/*/sender/far.test", {"action": "score"}),
        ("/policy/access/*/sender/far.test", {"action": "deny", "score": 3}),
        ("/policy/greylist/domains/example.test", {"enabled": "perhaps"}),
    ],
)
async def test_what_makes_no_sense_is_refused(
    clerk: LivePostmaster, where: str, body: dict[str, Any]
) -> None:
    assert (await clerk.http.put(where, json=body)).status_code == 422


async def test_greylisting_is_set_by_domain_and_seen(clerk: LivePostmaster) -> None:
    await directory.add_domain(clerk.pool, "example.test")
    who = Triplet(network="192.0.2.0/24", sender="", recipient="anna@example.test")
    await ask_greylist(clerk.pool, [who], GreylistTerms())

    await done(clerk, "greylist", "set", "example.test", "on")
    assert await rows(clerk, "greylist", "domains") == [{"domain": "example.test", "enabled": True}]
    assert (await clerk.cli("policy", "greylist", "set", "far.test", "on")).exit_code == 1
    await done(clerk, "greylist", "set", "example.test", "usual")
    assert await rows(clerk, "greylist", "domains") == []
    [row] = await rows(clerk, "greylist", "list", "--recipient", "Anna@example.test")
    assert (row["network"], row["sender"], row["passed_at"]) == ("192.0.2.0/24", "", None)
    assert "<>" in await done(clerk, "greylist", "list")
    assert (await clerk.cli("policy", "greylist", "forget", "192.0.2.0/24")).exit_code == 1


async def test_what_is_over_is_removed(clerk: LivePostmaster) -> None:
    await done(clerk, "access", "deny", "sender", "far.test", "--days", "1")
    await done(clerk, "access", "deny", "sender", "near.test")
    await clerk.pool.execute(
        "update access set expires_at = expires_at - $1::interval", timedelta(days=2)
    )
    await clerk.pool.execute(
        "insert into greylist_known values ('n', '', 9, now(), now() - interval '1 second')"
    )
    assert [each["key"] for each in await rows(clerk, "access", "list")] == ["near.test"]

    await tidy_lists(clerk.pool)

    assert await clerk.pool.fetchval("select count(*) from access") == 1
    assert await clerk.pool.fetchval("select count(*) from greylist_known") == 0
