"""What is shared, and how much may be kept: what an operator says and sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthouse.storage import directory
from posthouse.storage.filing import Filed, Refused, file
from posthouse.storage.sharing import identify, shared_with
from support.filings import LETTER, PREFIX, accepted
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

ANNA, BERT, SALES = "anna@example.test", "bert@example.test", "sales@example.test"
EVERYTHING = "lrswipkxtea"


@pytest.fixture(autouse=True)
async def people(clerk: LivePostmaster) -> dict[str, int]:
    await directory.add_domain(clerk.pool, "example.test")
    return {who: await directory.add_account(clerk.pool, who, "x") for who in (ANNA, BERT)}


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def rows(clerk: LivePostmaster, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await done(clerk, *arguments, "--json"))
    return found


async def test_an_operator_makes_a_shared_tree_and_says_who_may_do_what(
    clerk: LivePostmaster, people: dict[str, int]
) -> None:
    await done(clerk, "alias", "set", "team@example.test", "Bert@Example.Test")
    await done(clerk, "shared", "add", SALES, "--manager", ANNA)
    await done(clerk, "acl", "set", SALES, "group:team@example.test", "lrs")

    assert await rows(clerk, "shared", "list") == [{"address": SALES, "mailboxes": 1, "octets": 0}]
    assert await rows(clerk, "acl", "list", SALES) == [
        {"mailbox": "INBOX", "identifier": ANNA, "rights": EVERYTHING},
        {"mailbox": "INBOX", "identifier": "group:team@example.test", "rights": "lrs"},
    ]
    bert = await identify(clerk.pool, BERT)
    [(owner, box)] = await shared_with(clerk.pool, people[BERT], bert)
    assert (owner.address, owner.is_shared, box.name) == (SALES, True, "INBOX")

    await done(clerk, "acl", "remove", SALES, "group:team@example.test")
    assert await shared_with(clerk.pool, people[BERT], bert) == []
    assert (await clerk.cli("acl", "set", SALES, "nobody@example.test", "lr")).exit_code == 1
    assert (await clerk.cli("acl", "set", SALES, ANNA, "lrz")).exit_code == 1
    assert (await clerk.cli("acl", "set", SALES, ANNA, "l", "--mailbox", "X")).exit_code == 1
    assert (await clerk.cli("shared", "remove", ANNA, "--yes")).exit_code == 1
    await done(clerk, "shared", "remove", SALES, "--yes")
    assert await rows(clerk, "shared", "list") == []
    actions = [row["action"] for row in await rows(clerk, "audit", "list")]
    assert actions.count("rights given") == 2


async def test_who_may_answer_in_its_name_is_said_with_the_rights(clerk: LivePostmaster) -> None:
    await done(clerk, "shared", "add", SALES)

    await done(clerk, "acl", "set", SALES, ANNA, "lrswipte", "--send-as")
    [delegate] = await rows(clerk, "delegate", "list")
    await done(clerk, "acl", "remove", SALES, ANNA, "--send-as")

    assert (delegate["address"], delegate["account"]) == (SALES, ANNA)
    assert await rows(clerk, "delegate", "list") == []
    assert await rows(clerk, "acl", "list", SALES) == []


async def test_all_of_a_group_may_send_as_a_shared_tree_until_the_group_goes(
    clerk: LivePostmaster,
) -> None:
    team = "group:team@example.test"
    await done(clerk, "shared", "add", SALES)
    await done(clerk, "alias", "set", "team@example.test", "Bert@Example.Test")

    await done(clerk, "acl", "set", SALES, team, "lrp", "--send-as")
    await done(clerk, "delegate", "allow", SALES, BERT, "--on-behalf")
    listed = await rows(clerk, "delegate", "list")
    [only] = await rows(clerk, "delegate", "list", "--account", team)
    lent = await directory.lent(clerk.pool, [ANNA, BERT])

    assert [row["account"] for row in listed] == [BERT, team]
    assert only == {"address": SALES, "account": team, "on_behalf": False}
    assert lent == {ANNA: {}, BERT: {SALES: False}}
    assert (await clerk.cli("delegate", "allow", SALES, "group:no@example.test")).exit_code == 1
    await done(clerk, "alias", "remove", "team@example.test")
    assert await directory.lent(clerk.pool, [BERT]) == {BERT: {SALES: True}}
    assert (await clerk.cli("delegate", "revoke", SALES, team)).exit_code == 1


async def test_who_comes_later_under_an_address_finds_no_rights_of_the_first(
    clerk: LivePostmaster,
) -> None:
    await done(clerk, "alias", "set", "team@example.test", ANNA)
    await done(clerk, "acl", "set", ANNA, BERT, "lr")
    await done(clerk, "acl", "set", ANNA, "group:team@example.test", "lr")
    await done(clerk, "acl", "set", ANNA, "anyone", "l")

    await done(clerk, "account", "remove", BERT, "--yes")
    await done(clerk, "alias", "remove", "team@example.test")

    left = await rows(clerk, "acl", "list", ANNA)
    assert left == [{"mailbox": "INBOX", "identifier": "anyone", "rights": "l"}]


async def test_anyone_ends_at_the_border_of_a_tenant(
    clerk: LivePostmaster, people: dict[str, int]
) -> None:
    await directory.add_domain(clerk.pool, "far.test")
    carla = await directory.add_account(clerk.pool, "carla@far.test", "x")
    await done(clerk, "tenant", "add", "acme")
    await done(clerk, "tenant", "assign", "acme", "example.test")
    await done(clerk, "acl", "set", ANNA, "anyone", "lr")

    async def seen(address: str, account: int) -> int:
        return len(await shared_with(clerk.pool, account, await identify(clerk.pool, address)))

    assert await seen(BERT, people[BERT]) == 1
    assert await seen("carla@far.test", carla) == 0
    await done(clerk, "tenant", "assign", "acme", "far.test")
    assert await seen("carla@far.test", carla) == 1
    assert (await clerk.cli("tenant", "remove", "acme")).exit_code == 1
    await done(clerk, "tenant", "free", "acme", "far.test")
    await done(clerk, "tenant", "free", "acme", "example.test")
    await done(clerk, "tenant", "remove", "acme")
    assert await rows(clerk, "tenant", "list") == []


@pytest.mark.parametrize("whose", [("user", ANNA), ("domain", "example.test"), ("tenant", "acme")])
async def test_mail_over_a_quota_of_messages_is_refused(
    clerk: LivePostmaster, people: dict[str, int], whose: tuple[str, str]
) -> None:
    await done(clerk, "tenant", "add", "acme")
    await done(clerk, "tenant", "assign", "acme", "example.test")
    await done(clerk, "quota", "set", *whose, "--messages", "1", "--octets", "1000000")
    first = await file(clerk.pool, await accepted(clerk.pool, people[ANNA]))

    second = await file(clerk.pool, await accepted(clerk.pool, people[ANNA]))

    assert isinstance(first[0], Filed)
    assert second == [Refused.OVER_QUOTA]
    told = json.loads(await done(clerk, "quota", "show", *whose, "--json"))
    assert (told["messages"], told["used_messages"]) == (1, 1)
    assert told["used_octets"] == len(PREFIX) + len(LETTER)
    assert "1" in await done(clerk, "quota", "show", *whose)

    await done(clerk, "quota", "set", *whose)
    audit = json.loads(await done(clerk, "audit", "list", "--json"))
    told = [entry["detail"] for entry in audit if entry["action"] == "quota set"]
    assert sorted(told) == ["no limits", "octets 1000000, messages 1"]
    [third] = await file(clerk.pool, await accepted(clerk.pool, people[ANNA]))
    assert isinstance(third, Filed)


async def test_who_manages_quotas_is_named(clerk: LivePostmaster) -> None:
    await done(clerk, "quota", "allow-manager", "example.test", ANNA)
    await done(clerk, "quota", "revoke-manager", "example.test", ANNA)

    assert (await clerk.cli("quota", "revoke-manager", "example.test", ANNA)).exit_code == 1
    assert (await clerk.cli("quota", "allow-manager", "far.test", ANNA)).exit_code == 1
    assert (await clerk.cli("quota", "show", "user", "nobody@example.test")).exit_code == 1
    assert (await clerk.cli("quota", "set", "domain", "far.test", "--octets", "1")).exit_code == 1
