"""Mail that leaves: what an operator says and sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthouse.storage import directory
from posthouse.storage.outbound import alarms, counting, pausing
from posthouse.storage.outbound.counting import Count
from posthouse.storage.outbound.pausing import Alarm
from posthouse.storage.outbound.terms import terms_of
from posthouse.storage.pool import Pool, transaction
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

ANNA = "anna@example.test"


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


async def rows(clerk: LivePostmaster, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await done(clerk, *arguments, "--json"))
    return found


async def test_limits_are_set_shown_and_unset(clerk: LivePostmaster) -> None:
    pool = clerk.pool
    await done(
        clerk, "policy", "limits", "set", "account", "Anna@Example.test", "messages", "5/1h,9/1d"
    )
    await done(clerk, "policy", "limits", "set", "tenant", "Acme", "octets", "0")
    refused = await clerk.cli("policy", "limits", "set", "account", ANNA, "messages", "many")
    nobody = await clerk.cli("policy", "limits", "set", "domain", "no domain", "messages", "1/1d")

    assert refused.exit_code == nobody.exit_code == 1
    assert [tuple(row.values()) for row in await rows(clerk, "policy", "limits", "list")] == [
        ("account", ANNA, "messages", "5/1h,9/1d"),
        ("tenant", "acme", "octets", "0"),
    ]
    found = (await terms_of(pool, [ANNA]))[ANNA]
    assert found.limits == {("account", "messages"): "5/1h,9/1d"}
    await counting.add(
        pool,
        [
            Count(
                account=ANNA, messages=3, recipients=4, strangers={1, 2}, networks={"192.0.2.0/24"}
            )
        ],
    )
    shown = json.loads(await done(clerk, "policy", "limits", "show", ANNA, "--json"))
    assert (shown["messages"], shown["recipients"], shown["strangers"]) == (3, 4, 2)
    assert (shown["networks"], shown["state"]) == (1, "sends")
    assert [tuple(each.values()) for each in shown["holds"]] == [
        ("account", ANNA, "messages", "5/1h,9/1d"),
        ("account", ANNA, "recipients", None),
        ("account", ANNA, "octets", None),
        ("domain", "example.test", "messages", None),
        ("domain", "example.test", "recipients", None),
        ("domain", "example.test", "octets", None),
    ]
    assert "3 messages, 4 recipients" in await done(clerk, "policy", "limits", "show", ANNA)
    await done(clerk, "policy", "limits", "unset", "tenant", "acme", "octets")
    again = await clerk.cli("policy", "limits", "unset", "tenant", "acme", "octets")
    assert again.exit_code == 1


async def test_an_account_is_paused_and_resumed_by_command(clerk: LivePostmaster) -> None:
    await done(clerk, "account", "pause", ANNA)
    again = await clerk.cli("account", "pause", ANNA)
    neither = await clerk.cli("account", "resume", ANNA)

    assert again.exit_code == neither.exit_code == 1
    [paused] = await rows(clerk, "account", "paused")
    assert (paused["account"], paused["kind"], paused["rule"]) == (ANNA, "pause", "operator")
    assert paused["actor"]
    await done(clerk, "account", "resume", ANNA, "--release")
    assert (await clerk.cli("account", "resume", ANNA, "--discard")).exit_code == 1
    assert await rows(clerk, "account", "paused") == []
    audited = json.loads((await clerk.cli("audit", "list", "--json")).stdout)
    done_so = [(each["action"], each["chosen"], each["detail"]) for each in audited]
    assert ("account pause", ANNA, "pause") in done_so
    assert ("account resume", ANNA, "release") in done_so


async def _rings(pool: Pool, what: Alarm) -> bool:
    async with transaction(pool) as tx:
        return await pausing.alarm(tx, what)


async def test_alarms_are_listed_until_they_are_cleared(clerk: LivePostmaster) -> None:
    pool = clerk.pool
    what = Alarm(account=ANNA, rule="volume", consequence="pause", detail="500 recipients")
    assert await _rings(pool, what)
    assert not await _rings(pool, what)
    await pausing.pause(pool, ANNA, "pause", "volume")

    [raised] = await rows(clerk, "policy", "limits", "alarms")
    assert (raised["rule"], raised["detail"], raised["cleared_at"]) == (
        "volume",
        "500 recipients",
        None,
    )
    await done(clerk, "account", "resume", ANNA, "--discard")
    [raised] = await rows(clerk, "policy", "limits", "alarms")
    assert raised["cleared_at"] is not None
    assert await _rings(pool, what)  # it may ring again


async def test_a_tenants_contact_is_told(clerk: LivePostmaster) -> None:
    await directory.tenants.add_tenant(clerk.pool, "acme")
    await done(clerk, "tenant", "contact", "acme", "boss@example.test")
    unknown = await clerk.cli("tenant", "contact", "nobody", "boss@example.test")

    assert unknown.exit_code == 1
    assert not await alarms.set_contact(clerk.pool, "nobody", "")
