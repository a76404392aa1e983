"""Whose mail would go astray: an address that two things claim is refused, whoever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import (
    DirectoryError,
    NewAccount,
    NoSuchEntry,
    Route,
    Shadow,
    Shadowed,
    account_by_address,
    accounts,
    add_account,
    add_accounts,
    add_domain,
    aliases,
    domains,
    remove_alias,
    routes,
    set_alias,
    set_route,
)
from posthouse.storage.pool import Pool

pytestmark = pytest.mark.integration

HASH = "$argon2id$one"
RACES = 60
FAR = ["x@far.test"]


@pytest.fixture(autouse=True)
async def _domain(pool: Pool) -> None:
    await add_domain(pool, "example.test")


async def fate(work: Awaitable[object]) -> str:
    """Return how ``work`` ended."""
    try:
        await work
    except DirectoryError as refusal:
        return type(refusal).__name__
    return "done"


async def test_an_account_under_an_alias_is_refused_unless_forced(pool: Pool) -> None:
    await set_alias(pool, "anna@example.test", FAR)

    with pytest.raises(Shadowed, match=r"^anna@example.test is an alias, .* Force it"):
        await add_account(pool, "Anna@example.test", HASH)
    assert await accounts(pool) == ()

    await add_account(pool, "anna@example.test", HASH, force=True)

    assert await account_by_address(pool, "anna@example.test") is not None


async def test_an_alias_over_an_account_is_refused_unless_forced(pool: Pool) -> None:
    await add_account(pool, "anna@example.test", HASH)

    with pytest.raises(Shadowed, match=r"^anna@example.test is an account"):
        await set_alias(pool, "Anna@example.test", FAR, "boss@example.test")
    assert await aliases(pool) == ()

    await set_alias(pool, "anna@example.test", FAR, force=True)

    assert [alias.address for alias in await aliases(pool)] == ["anna@example.test"]


async def test_who_is_a_target_of_the_alias_loses_nothing(pool: Pool) -> None:
    both = ["Anna@Example.test", *FAR]
    await add_account(pool, "anna@example.test", HASH)
    await set_alias(pool, "anna@example.test", both)
    await set_alias(pool, "bert@example.test", ["Bert@Example.test", *FAR])

    await add_account(pool, "bert@example.test", HASH)

    assert len(await accounts(pool)) == 2


@pytest.mark.parametrize("base_is_alias", [False, True])
async def test_what_somebody_gets_by_plus_addressing_is_taken_only_by_force(
    pool: Pool, *, base_is_alias: bool
) -> None:
    if base_is_alias:
        await set_alias(pool, "anna@example.test", FAR)
    else:
        await add_account(pool, "anna@example.test", HASH)

    assert await fate(add_account(pool, "Anna+lists@example.test", HASH)) == "Shadowed"
    assert await fate(set_alias(pool, "anna+lists@example.test", FAR)) == "Shadowed"

    await set_alias(pool, "anna+lists@example.test", FAR, force=True)

    assert await fate(set_alias(pool, "anna+lists@example.test", ["y@far.test"])) == "done"


async def test_a_more_exact_address_leaves_its_base_free(pool: Pool) -> None:
    await add_account(pool, "anna+lists@example.test", HASH)

    await add_account(pool, "anna@example.test", HASH)

    assert len(await accounts(pool)) == 2


async def test_an_import_tells_all_that_would_go_astray_and_adds_none(pool: Pool) -> None:
    taken = [f"u{n:04}@example.test" for n in (3, 1200, 1201)]
    for address in taken:
        await set_alias(pool, address, FAR)
    new = [NewAccount(address=f"u{n:04}@example.test", password_hash=HASH) for n in range(1500)]

    with pytest.raises(Shadowed) as refusal:
        await add_accounts(pool, new)

    assert [shadow.address for shadow in refusal.value.shadows] == taken
    assert await accounts(pool) == ()
    assert len(await add_accounts(pool, new, force=True)) == 1500
    assert await add_accounts(pool, new) == {}  # they are there: nothing new goes astray


def test_many_that_go_astray_are_told_in_one_short_sentence() -> None:
    told = str(Shadowed([Shadow(f"u{n}@example.test", "is an alias") for n in range(1000)]))

    assert "u4@example.test is an alias; and 995 more" in told


async def test_of_account_and_alias_at_the_same_moment_one_is_refused(pool: Pool) -> None:
    for n in range(RACES):
        address = f"u{n}@example.test"

        ends = await asyncio.gather(
            fate(add_account(pool, address, HASH)), fate(set_alias(pool, address, FAR))
        )

        assert sorted(ends) == ["Shadowed", "done"], address
    assert len(await accounts(pool)) + len(await aliases(pool)) == RACES


async def test_of_an_import_and_an_alias_at_the_same_moment_one_is_refused(pool: Pool) -> None:
    new = [NewAccount(address=f"u{n}@example.test", password_hash=HASH) for n in range(200)]
    sets = [set_alias(pool, f"u{n}@example.test", FAR) for n in (0, 199)]

    imported, *ends = await asyncio.gather(fate(add_accounts(pool, new)), *map(fate, sets))

    if imported == "done":
        assert ends == ["Shadowed"] * 2
        assert len(await accounts(pool)) == 200
    else:
        assert imported == "Shadowed"
        assert "done" in ends
        assert await accounts(pool) == ()


async def test_two_imports_of_the_same_accounts_in_other_orders_both_end(pool: Pool) -> None:
    await add_domain(pool, "second.test")
    new = [
        NewAccount(address=f"u{n}@{domain}", password_hash=HASH)
        for n in range(50)
        for domain in ("example.test", "second.test")
    ]

    ends = await asyncio.gather(
        *(add_accounts(pool, order) for order in (new, new[::-1]) for _ in range(3))
    )

    assert sorted(len(added) for added in ends) == [0] * 5 + [100]


async def test_a_domain_and_its_route_are_not_both_unless_forced(pool: Pool) -> None:
    route = Route(domain="Far.test", hops=(parse_hop("relay.test:25"),))
    await set_route(pool, route)

    assert await fate(add_domain(pool, "far.test")) == "Shadowed"
    assert len(await domains(pool)) == 1
    await add_domain(pool, "far.test", force=True)
    assert await fate(set_route(pool, route)) == "Shadowed"
    await set_route(pool, route, force=True)


async def test_of_a_domain_and_its_route_at_the_same_moment_one_is_refused(pool: Pool) -> None:
    for n in range(RACES):
        route = Route(domain=f"d{n}.test", hops=(parse_hop("relay.test:25"),))

        ends = await asyncio.gather(
            fate(add_domain(pool, f"d{n}.test")), fate(set_route(pool, route))
        )

        assert sorted(ends) == ["Shadowed", "done"], route
    assert len(await domains(pool)) - 1 + len(await routes(pool)) == RACES


async def test_all_domains_that_are_not_ours_are_named(pool: Pool) -> None:
    new = [
        NewAccount(address=f"x@{domain}", password_hash=HASH)
        for domain in ("b.test", "example.test", "a.test")
    ]

    with pytest.raises(NoSuchEntry, match=r"^a\.test, b\.test are none of our domains$"):
        await add_accounts(pool, new)
    with pytest.raises(NoSuchEntry, match=r"^a\.test is not one of our domains$"):
        await set_alias(pool, "x@a.test", FAR)


async def test_an_alias_that_is_gone_claims_nothing(pool: Pool) -> None:
    await set_alias(pool, "anna@example.test", FAR)
    await remove_alias(pool, "anna@example.test")

    await add_account(pool, "anna@example.test", HASH)
