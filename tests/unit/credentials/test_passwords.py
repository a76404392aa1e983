"""Passwords: right, wrong, unknown, changed; never checked twice at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from posthouse.credentials import passwords
from posthouse.credentials.passwords import (
    Verifier,
    hash_for_import,
    hash_password,
    is_outdated,
    matches,
)
from posthouse.mail.errors import Unavailable


@dataclass(frozen=True)
class Account:
    account_id: int
    address: str
    password_hash: str
    enabled: bool = True


class Directory:
    def __init__(self, *accounts: Account) -> None:
        self.accounts = {account.address: account for account in accounts}

    async def fetch(self, address: str) -> Account | None:
        return self.accounts.get(address)


class Count:
    def __init__(self) -> None:
        self.checks = 0

    def __call__(self, stored: str, password: str) -> bool:
        self.checks += 1
        return matches(stored, password)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    counter = Count()
    monkeypatch.setattr(passwords, "matches", counter)
    return counter


ANNA = Account(7, "anna@example.test", hash_password("right"))


def test_a_stored_hash_of_another_kind_matches_nothing() -> None:
    assert not matches("{PLAIN}right", "right")


async def test_the_right_password_gives_the_account_and_a_wrong_one_nothing() -> None:
    async with Verifier(Directory(ANNA).fetch) as verifier:
        assert await verifier.verify(ANNA.address, "right") == ANNA
        assert await verifier.verify(ANNA.address, "wrong") is None
        assert await verifier.verify(ANNA.address, "r" * 2000) is None


async def test_an_unknown_address_costs_a_verification_too(count: Count) -> None:
    async with Verifier(Directory().fetch) as verifier:
        assert await verifier.verify("nobody@example.test", "right") is None

    assert count.checks == 1


async def test_logins_at_the_same_time_are_checked_once(count: Count) -> None:
    async with Verifier(Directory(ANNA).fetch) as verifier:
        found = await asyncio.gather(*(verifier.verify(ANNA.address, "right") for _ in range(20)))
        await verifier.verify(ANNA.address, "right")

    assert found == [ANNA] * 20
    assert count.checks == 1


async def test_a_changed_password_and_a_disabled_account_count_at_once() -> None:
    directory = Directory(ANNA)
    async with Verifier(directory.fetch) as verifier:
        assert await verifier.verify(ANNA.address, "right")

        directory.accounts[ANNA.address] = replace(ANNA, enabled=False)
        assert await verifier.verify(ANNA.address, "right") is None

        directory.accounts[ANNA.address] = replace(ANNA, password_hash=hash_password("new"))
        assert await verifier.verify(ANNA.address, "right") is None
        assert await verifier.verify(ANNA.address, "new")


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_REMEMBERED", 2)
    async with Verifier(Directory(ANNA).fetch) as verifier:
        for attempt in ("a", "b", "c", "d"):
            await verifier.verify(ANNA.address, attempt)

        assert len(verifier._remembered) == 2
        assert not verifier._running


class Renewals:
    """Takes renewed hashes as the directory does: only over the hash that was checked."""

    def __init__(self, directory: Directory, *, down: bool = False) -> None:
        self.directory = directory
        self.down = down

    async def renew(self, account_id: int, old: str, new: str) -> None:
        if self.down:
            raise Unavailable("down")
        for address, account in self.directory.accounts.items():
            if account.account_id == account_id and account.password_hash == old:
                self.directory.accounts[address] = replace(account, password_hash=new)


IMPORTED = replace(ANNA, password_hash=hash_for_import("right"))


async def test_a_light_hash_is_replaced_at_the_first_login_with_the_right_password() -> None:
    directory = Directory(IMPORTED)

    async with Verifier(directory.fetch, upgrade=Renewals(directory).renew) as verifier:
        assert await verifier.verify(ANNA.address, "wrong") is None
        assert directory.accounts[ANNA.address] == IMPORTED
        assert await verifier.verify(ANNA.address, "right") == IMPORTED

        renewed = directory.accounts[ANNA.address].password_hash
        assert is_outdated(IMPORTED.password_hash)
        assert not is_outdated(renewed)
        assert matches(renewed, "right")
        assert await verifier.verify(ANNA.address, "right") is not None
        assert directory.accounts[ANNA.address].password_hash == renewed


async def test_a_login_succeeds_even_if_the_new_hash_cannot_be_stored() -> None:
    directory = Directory(IMPORTED)

    async with Verifier(directory.fetch, upgrade=Renewals(directory, down=True).renew) as verifier:
        assert await verifier.verify(ANNA.address, "right") == IMPORTED
