"""Our accounts as judges: right, wrong, unknown, changed; devices, keys, and what is made anew."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from posthouse.credentials import app_passwords, passwords
from posthouse.credentials.checking import Checker
from posthouse.credentials.exchange import (
    Accepted,
    Attempt,
    Channel,
    Claim,
    Digest,
    Identity,
    Keys,
    Known,
    Password,
    Refused,
    Shown,
    Verdict,
)
from posthouse.credentials.local import LocalAccounts
from posthouse.credentials.passwords import (
    Secrets,
    Wanted,
    hash_for_import,
    is_outdated,
    make_secrets,
    matches,
    take_over,
)
from posthouse.mail.errors import Unavailable
from support.logins import light_argon2

pytestmark = pytest.mark.usefixtures("light_hashes")

CHANNEL = Channel(service="imap", client="192.0.2.1")
BOTH = Wanted(scram=True, cram_md5=True)
SECRET = bytes(32)


@dataclass(frozen=True)
class Device:
    id: int
    digest: bytes
    last_used: datetime | None = None


@dataclass(frozen=True)
class Account:
    account_id: int
    address: str
    password_hash: str
    keys: Secrets
    enabled: bool = True
    app_passwords: tuple[Device, ...] = ()


@dataclass
class Directory:
    """Accounts in memory; takes renewed hashes as the real one does: over the one checked."""

    accounts: dict[str, Account]
    is_read_only: bool = False
    uses: list[tuple[int, str, str]] = field(default_factory=list)
    certificates: dict[str, str] = field(default_factory=dict)
    renewals: int = 0

    async def credential(self, address: str) -> Account | None:
        return self.accounts.get(address)

    async def renew(self, account_id: int, old_hash: str, made: Secrets) -> None:
        self.renewals += 1
        if self.is_read_only:
            raise Unavailable("down")
        for address, account in self.accounts.items():
            if account.account_id == account_id and account.password_hash == old_hash:
                self.accounts[address] = replace(
                    account, password_hash=made.password_hash, keys=made
                )

    async def secret(self) -> bytes:
        return SECRET

    async def note_use(self, app_password: int, service: str, client: str) -> None:
        if self.is_read_only:
            raise Unavailable("down")
        self.uses.append((app_password, service, client))

    async def owner(self, fingerprint: str) -> str:
        return self.certificates.get(fingerprint, "")


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


with light_argon2():
    MADE = make_secrets("right", BOTH)
ANNA = Account(7, "anna@example.test", MADE.password_hash, MADE)
IDENTITY = Identity(account_id=7, address=ANNA.address)


@asynccontextmanager
async def accounts(directory: Directory, wanted: Wanted = BOTH) -> AsyncIterator[LocalAccounts]:
    async with Checker() as checker:
        yield LocalAccounts(directory, checker, wanted=wanted)


def here(*found: Account) -> Directory:
    return Directory({account.address: account for account in found})


def says(word: str, user: str = ANNA.address) -> Password:
    return Password(user=user, password=word)


async def judged(directory: Directory, attempt: Attempt, wanted: Wanted = BOTH) -> Verdict | None:
    async with accounts(directory, wanted) as local:
        return await local.judge(attempt, CHANNEL)


async def test_the_right_password_gives_the_account_and_a_wrong_one_nothing() -> None:
    async with accounts(here(ANNA)) as local:
        assert await local.judge(says("right"), CHANNEL) == Accepted(IDENTITY)
        assert await local.judge(says("right", "Anna@Example.Test"), CHANNEL) == Accepted(IDENTITY)
        assert await local.judge(says("wrong"), CHANNEL) == Refused()
        assert await local.judge(says("r" * 2000), CHANNEL) == Refused()


@pytest.mark.parametrize("user", ["nobody@example.test", "no address"])
async def test_an_unknown_name_costs_a_verification_too(count: Count, user: str) -> None:
    assert await judged(here(), says("right", user)) == Refused()

    assert count.checks == 1


async def test_logins_at_the_same_time_are_checked_once(count: Count) -> None:
    async with accounts(here(ANNA)) as local:
        logins = (local.judge(says("right"), CHANNEL) for _ in range(20))
        found = await asyncio.gather(*logins)
        await local.judge(says("right"), CHANNEL)

    assert found == [Accepted(IDENTITY)] * 20
    assert count.checks == 1


async def test_a_changed_password_and_a_disabled_account_count_at_once() -> None:
    directory = here(ANNA)
    async with accounts(directory) as local:
        assert await local.judge(says("right"), CHANNEL) == Accepted(IDENTITY)

        directory.accounts[ANNA.address] = replace(ANNA, enabled=False)
        for attempt in (says("right"), Claim(user=ANNA.address)):
            assert await local.judge(attempt, CHANNEL) == Refused()
        nobody = await local.judge(Keys(user=ANNA.address), CHANNEL)
        assert isinstance(nobody, Known)
        assert nobody.identity is None

        new = make_secrets("new", BOTH)
        changed = replace(ANNA, password_hash=new.password_hash, keys=new)
        directory.accounts[ANNA.address] = changed
        assert await local.judge(says("right"), CHANNEL) == Refused()
        assert await local.judge(says("new"), CHANNEL) == Accepted(IDENTITY)


@pytest.mark.parametrize("word", ["", "*", "right"])
async def test_without_a_password_nobody_logs_in_by_one(count: Count, word: str) -> None:
    none = take_over("*", BOTH)
    account = replace(ANNA, password_hash=none.password_hash, keys=none)

    assert await judged(here(account), says(word)) == Refused()
    assert await judged(here(account), Claim(user=ANNA.address)) == Accepted(IDENTITY)
    assert count.checks == 1  # and that takes as long as with one


async def test_what_is_not_ours_to_judge_is_left_to_others() -> None:
    @dataclass(frozen=True)
    class Other:
        user: str = ANNA.address

    assert await judged(here(ANNA), Other()) is None


# ---- What is made anew at a login


IMPORTED = replace(ANNA, password_hash=hash_for_import("right"), keys=Secrets(password_hash=""))
SSHA = "{SSHA}XKD3pb7iBK6/HZgDa7CZWUG9kxtSnP29"  # by `doveadm pw`
FOREIGN = replace(IMPORTED, password_hash=SSHA)


@pytest.mark.parametrize(("stored", "word"), [(IMPORTED, "right"), (FOREIGN, "pässword")])
async def test_a_light_or_foreign_hash_is_replaced_at_the_first_login(
    stored: Account, word: str
) -> None:
    directory = here(stored)
    async with accounts(directory) as local:
        assert await local.judge(says("wrong"), CHANNEL) == Refused()
        assert directory.accounts[ANNA.address] == stored

        assert await local.judge(says(word), CHANNEL) == Accepted(IDENTITY)
        renewed = directory.accounts[ANNA.address]
        assert is_outdated(stored.password_hash)
        assert not is_outdated(renewed.password_hash)
        assert matches(renewed.password_hash, word)
        assert renewed.keys.scram_sha_256
        assert renewed.keys.cram_md5

        assert await local.judge(says(word), CHANNEL) == Accepted(IDENTITY)
        assert directory.renewals == 1


async def test_keys_that_nobody_wants_any_more_go_at_the_next_login() -> None:
    directory = here(ANNA)

    await judged(directory, says("right"), Wanted(scram=False, cram_md5=False))

    kept = directory.accounts[ANNA.address].keys
    assert kept.scram_sha_256 is None
    assert kept.cram_md5 is None


async def test_keys_of_few_iterations_are_made_anew() -> None:
    taken = take_over(
        "{SCRAM-SHA-256}4096,HFjVCTPD8zknkfsOgnwvOw==,GtV5lqk8eFEwXE6f0d1QlBpn6Q7sfhmBtiKZV0jopNg="
        ",nidJgm0iyAgXb3bY1St4QfFon000mSZJ0kHewffhIhU=",
        Wanted(),
    )
    directory = here(replace(ANNA, password_hash=taken.password_hash, keys=taken))

    assert await judged(directory, says("pässword"), Wanted()) == Accepted(IDENTITY)

    assert ":" in str(taken.scram_sha_256)
    assert "$8192:" in str(directory.accounts[ANNA.address].keys.scram_sha_256)


async def test_a_login_succeeds_even_if_the_new_hash_cannot_be_stored() -> None:
    directory = here(IMPORTED)
    directory.is_read_only = True

    assert await judged(directory, says("right")) == Accepted(IDENTITY)
    assert directory.renewals == 1


# ---- Devices


APP = "abcde-fghij-kmnpq-rstuv"
USED = datetime.now(UTC) - timedelta(minutes=2)


def with_device(last_used: datetime | None = None) -> Account:
    digest = app_passwords.digest(APP)
    assert digest is not None
    return replace(ANNA, app_passwords=(Device(3, b"other"), Device(4, digest, last_used)))


@pytest.mark.parametrize("typed", [APP, APP.upper(), APP.replace("-", ""), APP.replace("-", " ")])
async def test_an_app_password_lets_in_at_once_and_its_use_is_noted(
    count: Count, typed: str
) -> None:
    directory = here(with_device(USED))

    assert await judged(directory, says(typed)) == Accepted(IDENTITY)
    assert directory.uses == [(4, "imap", "192.0.2.1")]
    assert count.checks == 0


async def test_its_use_is_not_noted_more_often_than_each_minute() -> None:
    directory = here(with_device(datetime.now(UTC)))

    assert await judged(directory, says(APP)) == Accepted(IDENTITY)
    assert directory.uses == []


async def test_an_app_password_of_nobody_is_a_wrong_password() -> None:
    other = app_passwords.make()
    assert await judged(here(with_device()), says(other)) == Refused()
    assert await judged(here(ANNA), says(APP)) == Refused()
    assert await judged(here(replace(with_device(), enabled=False)), says(APP)) == Refused()


async def test_a_device_is_let_in_though_its_use_cannot_be_noted() -> None:
    directory = here(with_device())
    directory.is_read_only = True

    assert await judged(directory, says(APP)) == Accepted(IDENTITY)


def test_app_passwords_are_long_and_never_twice_the_same() -> None:
    made = {app_passwords.make() for _ in range(100)}

    assert len(made) == 100
    assert all(app_passwords.digest(one) for one in made)
    assert all(app_passwords.digest(wrong) is None for wrong in ("", "secret", APP[:-1], APP + "a"))


# ---- Keys


async def test_who_has_no_keys_looks_like_who_is_nobody() -> None:
    bare = replace(ANNA, keys=Secrets(password_hash=""))
    async with accounts(here(bare)) as local:
        for user, other in (
            (ANNA.address, '"Anna"@example.test'),
            ("nobody@example.test", '"No\\body"@EXAMPLE.test'),
            ("no address", "no address"),
        ):
            first = await local.judge(Keys(user=user), CHANNEL)
            again = await local.judge(Keys(user=other), CHANNEL)
            assert isinstance(first, Known)
            assert first.identity is None
            assert first.keys.startswith("SCRAM-SHA-256$8192:")
            assert first == again


async def test_keys_are_of_use_only_while_they_are_wanted() -> None:
    known = await judged(here(ANNA), Keys(user=ANNA.address))
    assert known == Known(IDENTITY, str(MADE.scram_sha_256))

    known = await judged(here(ANNA), Keys(user=ANNA.address), Wanted(scram=False))
    assert isinstance(known, Known)
    assert known.identity is None


@pytest.mark.parametrize(
    ("word", "wanted", "verdict"),
    [
        ("right", BOTH, Accepted(IDENTITY)),
        ("wrong", BOTH, Refused()),
        ("right", Wanted(cram_md5=False), Refused()),
    ],
)
async def test_a_digest_fits_the_password_and_nothing_else(
    word: str, wanted: Wanted, verdict: Verdict
) -> None:
    challenge = b"<1896.697170952@mx.example.test>"
    digest = hmac.new(word.encode(), challenge, "md5").hexdigest()

    found = await judged(
        here(ANNA), Digest(user=ANNA.address, challenge=challenge, digest=digest), wanted
    )

    assert found == verdict


async def test_a_digest_of_nobody_fits_nothing() -> None:
    digest = Digest(user="nobody@example.test", challenge=b"<x>", digest="0" * 32)
    assert await judged(here(ANNA), digest) == Refused()


async def test_a_claim_needs_an_account() -> None:
    assert await judged(here(ANNA), Claim(user="Anna@example.test")) == Accepted(IDENTITY)
    assert await judged(here(ANNA), Claim(user="nobody@example.test")) == Refused()


async def test_a_certificate_is_its_owners_and_speaks_for_nobody_else() -> None:
    house = here(ANNA)
    house.certificates = {"aa": ANNA.address, "bb": "gone@example.test"}

    assert await judged(house, Shown(user="", fingerprint="aa")) == Accepted(IDENTITY)
    named = Shown(user="Anna@Example.test", fingerprint="aa")
    assert await judged(house, named) == Accepted(IDENTITY)
    for user, fingerprint in (
        ("bert@example.test", "aa"),
        ("nonsense", "aa"),
        ("", "bb"),
        ("", "cc"),
    ):
        assert await judged(house, Shown(user=user, fingerprint=fingerprint)) == Refused()
    disabled = here(replace(ANNA, enabled=False))
    disabled.certificates = house.certificates
    assert await judged(disabled, Shown(user="", fingerprint="aa")) == Refused()


# ---- What is remembered


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.credentials.memory.MAX_REMEMBERED", 2)
    async with Checker() as checker:
        for word in ("a", "b", "c", "d"):
            await checker.check(MADE.password_hash, word)

        assert len(checker._memory._known) == 2
        assert not checker._running


async def test_too_many_checks_at_once_are_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.credentials.checking.MAX_WAITING", 1)
    async with Checker() as checker:
        one = asyncio.create_task(checker.check(MADE.password_hash, "a"))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await checker.check(MADE.password_hash, "b")
        assert not await one
