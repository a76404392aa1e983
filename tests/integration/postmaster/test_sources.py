"""What an operator says of the addresses that mail leaves from."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from posthouse.mail.sources import USUAL_WARM_UP, Source, SourceUse
from posthouse.runtime.rates import SharedRates
from posthouse.storage.directory.sources import source_uses, sources
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli("source", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli("source", *arguments)
    assert result.exit_code == 1, result.output
    return result.output


async def test_addresses_are_added_listed_and_removed(clerk: LivePostmaster) -> None:
    assert "whatever address" in await done(clerk, "list")
    await done(clerk, "add", "192.0.2.10", "news", "Out10.example.org")
    await done(
        clerk, "add", "2001:DB8:0::10", "news", "out10.example.org", "--warm-up", "usual",
        "--since", "2026-01-31",
    )  # fmt: skip
    await done(clerk, "add", "192.0.2.11", "news", "out11.example.org", "--warm-up", "5,9")

    today = datetime.now(UTC).date()
    assert await sources(clerk.pool) == (
        Source(address="192.0.2.10", pool="news", hostname="out10.example.org", since=today),
        Source(
            address="192.0.2.11", pool="news", hostname="out11.example.org",
            warm_up=(5, 9), since=today,
        ),
        Source(
            address="2001:db8::10", pool="news", hostname="out10.example.org",
            warm_up=USUAL_WARM_UP, since=date(2026, 1, 31),
        ),
    )  # fmt: skip
    listed = json.loads(await done(clerk, "list", "--json"))
    assert [(row["budget"], row["full"]) for row in listed] == [
        (None, False), (5, False), (None, False),
    ]  # fmt: skip
    await done(clerk, "remove", "2001:db8::10")
    assert "does not leave" in await refused(clerk, "remove", "2001:db8::10")


async def test_who_changed_what_stands_in_the_audit(clerk: LivePostmaster) -> None:
    await done(clerk, "add", "192.0.2.11", "news", "out11.example.org", "--warm-up", "5,9",
               "--since", "2026-01-31")  # fmt: skip
    await done(clerk, "use", "news", "--sender", "@news.test")
    await refused(clerk, "remove", "192.0.2.11")

    entries = (await clerk.http.get("/audit")).json()["items"]
    assert [(e["action"], e["chosen"], e["detail"]) for e in entries] == [
        ("source use", "--sender @news.test --domain *", "news"),
        (
            "source add",
            "192.0.2.11",
            "news out11.example.org --warm-up 5,9 --since 2026-01-31",
        ),
    ]


async def test_an_address_that_may_send_no_more_now_is_shown_as_full(
    clerk: LivePostmaster,
) -> None:
    await done(clerk, "add", "192.0.2.11", "news", "out11.example.org", "--warm-up", "5")
    warming = (await sources(clerk.pool))[0]
    rate = warming.rate(datetime.now(UTC).date())
    assert rate is not None
    async with SharedRates(clerk.pool) as shared:
        assert shared.buckets.take((warming.key, "messages"), rate)

    (listed,) = json.loads(await done(clerk, "list", "--json"))

    assert listed["full"]
    result = await clerk.cli("limit", "list", "source:192.0.2.11")
    assert "messages" in result.stdout


async def test_uses_are_set_listed_and_removed(clerk: LivePostmaster) -> None:
    assert "No pool" in await done(clerk, "uses")
    await done(clerk, "add", "192.0.2.10", "news", "out10.example.org")
    await done(clerk, "use", "news", "--sender", "@News.test")
    await done(clerk, "use", "none", "--domain", ".intern.test")
    await done(clerk, "use", "news", "--sender", "<>", "--domain", "b.test")

    assert await source_uses(clerk.pool) == (
        SourceUse(sender="*", domain=".intern.test", pool="none"),
        SourceUse(sender="<>", domain="b.test", pool="news"),
        SourceUse(sender="@news.test", domain="*", pool="news"),
    )
    assert ".intern.test" in await done(clerk, "uses")
    await done(clerk, "unuse", "--sender", "@news.test")
    assert "No pool is chosen" in (await refused(clerk, "unuse", "--sender", "@news.test")).replace(
        "no pool", "No pool"
    )


async def test_a_pool_in_use_keeps_an_address(clerk: LivePostmaster) -> None:
    await done(clerk, "add", "192.0.2.10", "news", "out10.example.org")
    await done(clerk, "use", "news")

    assert "last address" in await refused(clerk, "remove", "192.0.2.10")
    assert "last address" in await refused(clerk, "add", "192.0.2.10", "bulk", "a.example.org")
    await done(clerk, "add", "192.0.2.11", "news", "out11.example.org")
    await done(clerk, "remove", "192.0.2.10")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "mail.test", "news", "a.test"), "not an ip address"),
        (("add", "224.0.0.1", "news", "a.test"), "nothing can leave"),
        (("add", "192.0.2.1", "none", "a.test"), "not the name of a pool"),
        (("add", "192.0.2.1", "the news", "a.test"), "not the name of a pool"),
        (("add", "192.0.2.1", "news", "-"), "not a host name"),
        (("add", "192.0.2.1", "news", "a.test", "--warm-up", "some"), "not budgets"),
        (("add", "192.0.2.1", "news", "a.test", "--warm-up", "0,5"), "warm_up"),
        (("add", "192.0.2.1", "news", "a.test", "--since", "soon"), "since"),
        (("use", "nobody"), "no address is in the pool"),
        (("use", "none", "--sender", "not an address"), "not a mailbox"),
        (("use", "none", "--domain", "not a domain"), "not a domain"),
        (("unuse",), "no pool is chosen"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    clerk: LivePostmaster, arguments: tuple[str, ...], says: str
) -> None:
    assert says in (await refused(clerk, *arguments)).lower()
    assert await sources(clerk.pool) == ()
