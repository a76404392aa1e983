"""How senders send, and whom they leave alone: what an operator says and sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthouse.storage import directory
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

ANNA, BERT = "anna@example.test", "bert@far.test"


@pytest.fixture(autouse=True)
async def _people(clerk: LivePostmaster) -> None:
    await directory.add_domain(clerk.pool, "example.test")
    await directory.add_account(clerk.pool, ANNA, "x")


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def rows(clerk: LivePostmaster, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await done(clerk, *arguments, "--json"))
    return found


async def test_an_operator_says_how_a_domain_and_an_account_send(clerk: LivePostmaster) -> None:
    said = await done(clerk, "sender", "set", "Example.test", "--language", "de")
    await done(clerk, "sender", "set", "example.test", "--return-path", "verp", "--signed-only")
    await done(clerk, "sender", "set", ANNA, "--suppress-after", "0")

    assert said.strip() == "Example.test: language de."
    anna, domain = await rows(clerk, "sender", "list")
    assert anna == {
        "whose": ANNA, "language": None, "return_path": None, "signed_only": None,
        "suppress_after": 0,
    }  # fmt: skip
    assert domain == {
        "whose": "example.test", "language": "de", "return_path": "verp", "signed_only": True,
        "suppress_after": None,
    }  # fmt: skip
    assert "verp" in await done(clerk, "sender", "list")

    await done(clerk, "sender", "remove", ANNA)
    await done(clerk, "sender", "set", "example.test", "--any-bounce")
    assert [row["signed_only"] for row in await rows(clerk, "sender", "list")] == [False]
    assert (await clerk.cli("sender", "remove", ANNA)).exit_code == 1
    assert (await clerk.cli("sender", "set", ANNA)).exit_code == 1
    assert (await clerk.cli("sender", "set", "far.test", "--language", "de")).exit_code == 1


async def test_an_operator_suppresses_and_releases(clerk: LivePostmaster) -> None:
    said = await done(clerk, "suppression", "add", "Bert@Far.test", "--note", "asked us to")
    await done(clerk, "suppression", "add", BERT, "--whose", "example.test", "--days", "7")

    assert said.strip() == "Bert@Far.test gets no mail of anybody any more."
    every, ours = await rows(clerk, "suppression", "list")
    assert (every["address"], every["whose"], every["reason"], every["note"]) == (
        BERT, "*", "manual", "asked us to",
    )  # fmt: skip
    assert every["expires_at"] is None
    assert ours["expires_at"] is not None
    assert len(await rows(clerk, "suppression", "list", "--whose", "example.test")) == 1
    assert await rows(clerk, "suppression", "list", "--address", "x@far.test") == []

    await done(clerk, "suppression", "remove", BERT)
    assert [row["whose"] for row in await rows(clerk, "suppression", "list")] == ["example.test"]
    assert (await clerk.cli("suppression", "remove", BERT)).exit_code == 1
    assert [
        (entry["action"], entry["chosen"], entry["detail"], entry["changed"])
        for entry in await rows(clerk, "audit", "list")
    ] == [
        ("suppression remove", f"{BERT} for *", "", 1),
        ("suppression add", f"{BERT} for example.test", "", 1),
        ("suppression add", f"{BERT} for *", "asked us to", 1),
    ]


@pytest.mark.parametrize(
    ("method", "where", "body"),
    [
        ("PATCH", "/senders/example.test", {}),
        ("PATCH", "/senders/example.test", {"language": "Deutsch, bitte"}),
        ("PATCH", "/senders/example.test", {"return_path": "batv"}),
        ("PATCH", "/senders/example.test", {"suppress_after": -1}),
        ("PATCH", "/senders/not a domain", {"language": "de"}),
        ("PUT", "/suppressions/nobody/*", {}),
        ("PUT", "/suppressions/a@far.test/not a domain", {}),
        ("PUT", "/suppressions/a@far.test/*", {"days": 0}),
    ],
)
async def test_what_makes_no_sense_is_refused(
    clerk: LivePostmaster, method: str, where: str, body: dict[str, Any]
) -> None:
    answer = await clerk.http.request(method, where, json=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_long_lists_come_page_by_page(clerk: LivePostmaster) -> None:
    for n in range(5):
        await clerk.http.put(f"/suppressions/a{n}@far.test/*", json={})

    first = (await clerk.http.get("/suppressions", params={"limit": 3})).json()
    rest = await clerk.http.get("/suppressions", params={"limit": 3, "after": first["next"]})

    assert [row["address"] for row in first["items"]] == [f"a{n}@far.test" for n in range(3)]
    assert [row["address"] for row in rest.json()["items"]] == ["a3@far.test", "a4@far.test"]
