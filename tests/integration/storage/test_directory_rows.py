"""Who is here, and what an address means."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from posthouse.mail.address import BadAddress
from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import (
    Account,
    Alias,
    AlreadyThere,
    Credential,
    DirectoryError,
    Domain,
    Forward,
    Found,
    NewAccount,
    NoSuchEntry,
    Relay,
    Route,
    StillInUse,
    account_by_address,
    accounts,
    add_account,
    add_accounts,
    add_domain,
    add_network,
    aliases,
    credentials,
    domains,
    forwards,
    networks,
    relays,
    remove_account,
    remove_alias,
    remove_domain,
    remove_network,
    remove_relay,
    remove_route,
    resolve,
    routes,
    set_alias,
    set_catch_all,
    set_enabled,
    set_forward,
    set_password,
    set_quota,
    set_relay,
    set_route,
    ways_fingerprint,
)
from posthouse.storage.pool import Pool

pytestmark = pytest.mark.integration

HASH, OTHER_HASH = "$argon2id$one", "$argon2id$two"
IMPORT_SECONDS = 20  # 10,000 accounts in a minute are promised, hashing included


@pytest.fixture
async def anna(pool: Pool) -> int:
    await add_domain(pool, "example.test")
    return await add_account(pool, "Anna@Example.TEST", HASH, 1000)


async def test_a_domain_comes_and_goes(pool: Pool) -> None:
    await add_domain(pool, "B.test")
    await add_domain(pool, "a.test")

    with pytest.raises(AlreadyThere):
        await add_domain(pool, "b.TEST")
    with pytest.raises(BadAddress):
        await add_domain(pool, "not a domain")
    assert await domains(pool) == (Domain(domain="a.test"), Domain(domain="b.test"))
    assert await domains(pool, after="a.test", limit=1) == (Domain(domain="b.test"),)

    await remove_domain(pool, "A.test")

    assert await domains(pool) == (Domain(domain="b.test"),)
    with pytest.raises(NoSuchEntry):
        await remove_domain(pool, "a.test")


async def test_a_domain_with_accounts_stays(pool: Pool, anna: int) -> None:
    assert anna
    with pytest.raises(StillInUse):
        await remove_domain(pool, "example.test")


async def test_an_account_has_its_mailboxes_from_the_first_day(pool: Pool, anna: int) -> None:
    rows = await pool.fetch(
        "select name, special_use, uidvalidity from mailboxes where account_id = $1", anna
    )

    assert {(row["name"], row["special_use"]) for row in rows} == {
        ("INBOX", None),
        ("Drafts", "\\Drafts"),
        ("Sent", "\\Sent"),
        ("Junk", "\\Junk"),
        ("Trash", "\\Trash"),
        ("Archive", "\\Archive"),
    }
    assert all(0 < row["uidvalidity"] < 2**32 for row in rows)


async def test_two_spellings_are_one_account(pool: Pool, anna: int) -> None:
    found = await account_by_address(pool, "ANNA@example.test")

    assert found == Account(
        id=anna, address="anna@example.test", enabled=True, quota_octets=1000, used_octets=0
    )
    with pytest.raises(AlreadyThere):
        await add_account(pool, '"anna"@example.test', "x")
    assert await account_by_address(pool, "bert@example.test") is None


async def test_an_account_needs_one_of_our_domains_and_a_real_address(pool: Pool) -> None:
    with pytest.raises(NoSuchEntry):
        await add_account(pool, "anna@elsewhere.test", "x")
    with pytest.raises(BadAddress):
        await add_account(pool, "no address", "x")


async def test_an_account_is_changed_in_place(pool: Pool, anna: int) -> None:
    await set_password(pool, "Anna@example.test", OTHER_HASH)
    await set_enabled(pool, "anna@example.test", enabled=False)
    await set_quota(pool, "anna@example.test", None)

    assert await credentials(pool, "anna@EXAMPLE.test") == Credential(
        account_id=anna, address="anna@example.test", password_hash=OTHER_HASH, enabled=False
    )
    for change in (
        set_password(pool, "nobody@example.test", "x"),
        set_enabled(pool, "nobody@example.test", enabled=True),
        set_quota(pool, "nobody@example.test", 1),
        remove_account(pool, "nobody@example.test"),
    ):
        with pytest.raises(NoSuchEntry):
            await change
    assert await credentials(pool, "nobody@example.test") is None


def test_a_password_hash_is_in_no_repr() -> None:
    new = NewAccount(address="a@b.test", password_hash=HASH)
    known = Credential(account_id=1, address="a@b.test", password_hash=HASH, enabled=True)
    route = Route(domain="*", hops=(parse_hop("h:25"),), username="u", password=HASH)

    assert HASH not in f"{new!r} {known!r} {route!r}"


async def test_a_removed_account_leaves_no_row_behind(pool: Pool, anna: int) -> None:
    for table in ("messages", "contents", "search", "changes", "keywords"):
        await pool.execute(_ONE_ROW[table], anna)

    await remove_account(pool, "anna@example.test")

    for table in ("mailboxes", *_ONE_ROW):
        count = f"select count(*) from {table} where account_id = $1"  # noqa: S608 - ours
        assert await pool.fetchval(count, anna) == 0


_ONE_ROW = {
    "messages": "insert into messages (account_id, mailbox_id, content_id, modseq, internaldate,"
    " savedate, uid, size) values ($1, 1, 1, 1, now(), now(), 1, 1)",
    "contents": "insert into contents (account_id, object_id, size, envelope, bodystructure,"
    " header, parts) values ($1, gen_random_uuid(), 1, '', '', '', '')",
    "search": "insert into search (account_id, content_id, from_f, to_f, cc_f, subject_f,"
    " header_f) values ($1, 1, '', '', '', '', '')",
    "unindexed": "insert into unindexed (account_id, content_id) values ($1, 1000)",
    "changes": "insert into changes (account_id, mailbox_id, modseq, kind, data)"
    " values ($1, 1, 1, 'a', '')",
    "keywords": "insert into keywords (account_id, keyword_id, name) values ($1, 1, 'x')",
}


async def test_ten_thousand_accounts_are_imported_within_seconds(pool: Pool, anna: int) -> None:
    new = [NewAccount(address=f"user{n}@example.test", password_hash=HASH) for n in range(10_000)]
    started = time.monotonic()

    added = await add_accounts(
        pool, [NewAccount(address="anna@example.test", password_hash=OTHER_HASH), *new]
    )

    assert time.monotonic() - started < IMPORT_SECONDS
    assert len(added) == 10_000
    assert anna not in added.values()
    assert len(await accounts(pool, limit=20_000)) == 10_001
    assert await pool.fetchval("select count(*) from mailboxes") == 6 * 10_001


async def test_an_import_with_a_fault_imports_nothing(pool: Pool, anna: int) -> None:
    new = [NewAccount(address=f"u{n}@example.test", password_hash=HASH) for n in range(1500)]

    with pytest.raises(NoSuchEntry):
        await add_accounts(pool, [*new, NewAccount(address="x@other.test", password_hash=HASH)])

    assert [account.id for account in await accounts(pool)] == [anna]


async def test_accounts_are_listed_page_by_page_and_by_domain(pool: Pool, anna: int) -> None:
    assert anna
    await add_domain(pool, "second.test")
    for address in ("bert@example.test", "carl@second.test"):
        await add_account(pool, address, "x")

    first = await accounts(pool, limit=2)
    rest = await accounts(pool, after=first[-1].address)

    assert [a.address for a in (*first, *rest)] == [
        "anna@example.test",
        "bert@example.test",
        "carl@second.test",
    ]
    assert [a.address for a in await accounts(pool, domain="Second.test")] == ["carl@second.test"]


async def test_an_alias_comes_changes_and_goes(pool: Pool, anna: int) -> None:
    assert anna
    await set_alias(pool, "Team@example.test", ["anna@example.test", "X@Far.test"])
    await set_alias(
        pool,
        "team@EXAMPLE.test",
        ["bert@example.test"],
        owner="boss@example.test",
        posters=["Members", "@Second.test", "Boss@example.test"],
    )

    assert await aliases(pool) == (
        Alias(
            address="team@example.test",
            targets=("bert@example.test",),
            owner="boss@example.test",
            posters=("members", "@second.test", "boss@example.test"),
        ),
    )
    found = (await resolve(pool, ["team@example.test"]))["team@example.test"].alias
    assert found == (await aliases(pool))[0]
    with pytest.raises(NoSuchEntry):
        await set_alias(pool, "team@other.test", ["anna@example.test"])
    with pytest.raises(BadAddress):
        await set_alias(pool, "team@example.test", ["nonsense"])
    with pytest.raises(DirectoryError):
        await set_alias(pool, "team@example.test", [])

    await remove_alias(pool, "TEAM@example.test")

    with pytest.raises(NoSuchEntry):
        await remove_alias(pool, "team@example.test")


async def test_a_forwarding_comes_changes_and_goes(pool: Pool, anna: int) -> None:
    assert anna
    await set_forward(pool, "anna@example.test", ["x@far.test"])
    await set_forward(pool, "anna@example.test", ["y@far.test"], keep_copy=False)

    assert await forwards(pool) == (
        Forward(address="anna@example.test", targets=("y@far.test",), keep_copy=False),
    )
    with pytest.raises(NoSuchEntry):
        await set_forward(pool, "nobody@example.test", ["x@far.test"])

    await set_forward(pool, "anna@example.test", [])

    assert await forwards(pool) == ()


async def test_one_question_tells_what_many_addresses_are(pool: Pool, anna: int) -> None:
    await set_alias(pool, "team@example.test", ["anna@example.test"], owner="boss@example.test")
    await set_catch_all(pool, "Example.test", "anna@example.test")
    await set_forward(pool, "anna@example.test", ["x@far.test"])
    await pool.execute("update mailboxes set octets = 7 where account_id = $1", anna)
    ours = Domain(domain="example.test", catch_all="anna@example.test")

    found = await resolve(
        pool,
        [
            "anna@example.test",
            "team@example.test",
            "no@example.test",
            "x@far.test",
            "x@far.test",
            "",
        ],
    )

    assert found == {
        "anna@example.test": Found(
            key="anna@example.test",
            domain=ours,
            account=Account(
                id=anna,
                address="anna@example.test",
                enabled=True,
                quota_octets=1000,
                used_octets=42,
            ),
            forward=Forward(address="anna@example.test", targets=("x@far.test",), keep_copy=True),
        ),
        "team@example.test": Found(
            key="team@example.test",
            domain=ours,
            alias=Alias(
                address="team@example.test",
                targets=("anna@example.test",),
                owner="boss@example.test",
            ),
        ),
        "no@example.test": Found(key="no@example.test", domain=ours),
        "x@far.test": Found(key="x@far.test"),
        "": Found(key=""),
    }
    assert await resolve(pool, []) == {}


async def test_a_catch_all_is_set_and_ended(pool: Pool, anna: int) -> None:
    assert anna
    await set_catch_all(pool, "example.test", "anna@example.test")
    await set_catch_all(pool, "example.test", None)

    assert await domains(pool) == (Domain(domain="example.test"),)
    with pytest.raises(NoSuchEntry):
        await set_catch_all(pool, "other.test", None)


async def test_every_change_of_ways_changes_their_fingerprint(pool: Pool) -> None:
    hops = (parse_hop("relay.test"),)
    route = Route(domain="far.test", hops=hops, username="us", password=HASH)
    relay = Relay(sender="@our.test", hops=hops)
    seen = [await ways_fingerprint(pool)]
    for change in (
        set_route(pool, route),
        set_route(pool, replace(route, password="other")),  # noqa: S106
        set_route(pool, replace(route, hold=True)),
        set_relay(pool, relay),
        set_relay(pool, replace(relay, sender="@their.test")),
        remove_relay(pool, "@our.test"),
    ):
        await change
        seen.append(await ways_fingerprint(pool))
    assert len(set(seen)) == len(seen)
    assert await relays(pool) == (replace(relay, sender="@their.test"),)
    assert await ways_fingerprint(pool) == seen[-1]

    await remove_relay(pool, "@their.test")
    await remove_route(pool, "FAR.test")
    assert await ways_fingerprint(pool) == seen[0]
    with pytest.raises(NoSuchEntry):
        await remove_relay(pool, "@their.test")


async def test_routes_are_set_replaced_and_removed(pool: Pool) -> None:
    await set_route(pool, Route(domain="Far.test", hops=(parse_hop("mx1:25"),)))
    await set_route(pool, Route(domain="far.test", hops=(parse_hop("mx2:2525"),)))
    smarthost = Route(domain="*", hops=(parse_hop("relay:587"),), username="us", password=HASH)
    await set_route(pool, smarthost)

    assert await routes(pool) == (
        smarthost,
        Route(domain="far.test", hops=(parse_hop("mx2:2525"),)),
    )
    for wrong in (
        Route(domain="**", hops=(parse_hop("mx1:25"),)),
        Route(domain="a.test", hops=()),
    ):
        with pytest.raises((BadAddress, DirectoryError)):
            await set_route(pool, wrong)

    await remove_route(pool, "FAR.test")

    assert await routes(pool) == (smarthost,)
    with pytest.raises(NoSuchEntry):
        await remove_route(pool, "far.test")


async def test_networks_come_and_go(pool: Pool) -> None:
    await add_network(pool, "192.0.2.0/24", "office")
    await add_network(pool, "192.0.2.0/24", "head office")
    await add_network(pool, "2001:db8::/32")

    assert [(str(n.network), n.note) for n in await networks(pool)] == [
        ("192.0.2.0/24", "head office"),
        ("2001:db8::/32", ""),
    ]
    with pytest.raises(DirectoryError):
        await add_network(pool, "192.0.2.1/24")

    await remove_network(pool, "192.0.2.0/24")

    with pytest.raises(NoSuchEntry):
        await remove_network(pool, "192.0.2.0/24")
