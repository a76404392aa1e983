"""Routes and relays from the command line, and what counts for a mail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration


async def done(clerk: LivePostmaster, *arguments: str, stdin: str = "") -> str:
    result = await clerk.cli(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.output


async def refused(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli(*arguments)
    assert result.exit_code == 1, result.output
    return result.output


async def rows(clerk: LivePostmaster, *arguments: str) -> list[dict[str, Any]]:
    found = json.loads(await done(clerk, *arguments, "--json"))
    assert isinstance(found, list)
    return found


async def test_ways_are_set_told_and_removed(clerk: LivePostmaster) -> None:
    await done(clerk, "route", "set", ".far.test", "a.test:25,weight=3", "mx:b.test,preference=10")
    await done(clerk, "route", "set", "[IPv6:2001:DB8::1]", "direct", "--open", "on-request")
    await done(clerk, "route", "set", "*", "relay.test:587", "--open", "daily 02:00-04:00")
    await done(clerk, "route", "set", "classic.test", "maildir:%d/%u,create")
    login = ("--user", "anna", "--password-stdin")
    await done(clerk, "relay", "set", "Anna@our.test", "own.test:587", *login, stdin="gr8-word\n")
    await done(clerk, "relay", "set", "null", "reports.test")

    assert [(row["domain"], row["hold"], row["window"]) for row in await rows(clerk, "route", "list")] == [
        ("*", False, "daily 02:00-04:00"),
        (".far.test", False, None),
        ("[ipv6:2001:db8::1]", True, None),
        ("classic.test", False, None),
    ]  # fmt: skip
    assert await rows(clerk, "relay", "list") == [
        {"sender": "<>", "hops": ["smtp:reports.test:25"], "username": None},
        {"sender": "anna@our.test", "hops": ["smtp:own.test:587"], "username": "anna"},
    ]
    assert "gr8-word" not in await done(clerk, "relay", "list")

    for name in (".far.test", "[IPv6:2001:db8:0::1]", "*", "classic.test"):
        await done(clerk, "route", "remove", name)
    for name in ("anna@OUR.test", "null"):
        await done(clerk, "relay", "remove", name)
    assert "by MX" in await done(clerk, "route", "list")
    assert "No sender" in await done(clerk, "relay", "list")


async def test_what_counts_for_a_mail_can_be_asked(clerk: LivePostmaster) -> None:
    await done(clerk, "route", "set", ".far.test", "far-relay.test")
    await done(clerk, "relay", "set", "@our.test", "own.test")

    for domain, sender, by, to in (
        ("a.far.test", "anna@our.test", "route", "smtp:far-relay.test:25"),
        ("far.test", "anna@our.test", "relay", "smtp:own.test:25"),
        ("far.test", "", "mx", "direct"),
    ):
        (way,) = await rows(clerk, "route", "find", domain, "--sender", sender)
        assert (way["by"], way["hops"]) == (by, [to])


REFUSED = {
    ("route", "set", "a.test", "maildir:../%u"): "below the root",
    ("route", "set", "a.test", "lmtp:box.test:25"): "no place on port 25",
    ("route", "set", "a.test", "b.test", "direct"): "stand alone",
    ("route", "set", "a.test", "b.test", "--open", "soon"): "must look like",
    ("route", "set", "**", "b.test"): "not a domain",
    ("route", "set", "a.test", "b.test", "--user", "anna"): "--password-stdin",
    ("relay", "set", "@*", "b.test"): "serves all senders",
    ("relay", "set", "anna@our.test", "maildir:%u"): "belong to recipients",
    ("relay", "remove", "anna@our.test"): "no relay",
}


async def test_what_is_no_way_is_refused_in_words(clerk: LivePostmaster) -> None:
    for words, why in REFUSED.items():
        assert why in " ".join((await refused(clerk, *words)).lower().split())
