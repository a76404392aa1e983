"""Whom we believe about mail that was changed: set by command, known to policy at once."""

from __future__ import annotations

import json

import pytest

from posthouse.storage.sealers import believed
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration


async def test_sealers_are_trusted_and_distrusted(clerk: LivePostmaster) -> None:
    asked = frozenset({"lists.example.org", "xn--bcher-kva.test", "c.test"})
    for arguments in (
        ("trust", "Lists.Example.org", "--note", "old"),
        ("trust", "lists.example.org", "--note", "our friends"),
        ("trust", "bücher.test"),
    ):
        said = await clerk.cli("policy", "sealer", *arguments)
        assert said.exit_code == 0, said.output
    rows = json.loads((await clerk.cli("policy", "sealer", "list", "--json")).stdout)
    assert [(row["domain"], row["note"]) for row in rows] == [
        ("lists.example.org", "our friends"),
        ("xn--bcher-kva.test", ""),
    ]
    assert await believed(clerk.pool, asked) == {"lists.example.org", "xn--bcher-kva.test"}

    gone = await clerk.cli("policy", "sealer", "distrust", "lists.example.org")
    assert gone.exit_code == 0, gone.output
    assert await believed(clerk.pool, asked) == {"xn--bcher-kva.test"}
    again = await clerk.cli("policy", "sealer", "distrust", "lists.example.org")
    assert again.exit_code == 1
    assert "no sealer that is believed" in again.output
    wrong = await clerk.cli("policy", "sealer", "trust", "no domain")
    assert wrong.exit_code == 1
    audit = (await clerk.http.get("/audit")).json()["items"]
    assert [each["action"] for each in audit] == ["sealer distrust", *["sealer trust"] * 3]
