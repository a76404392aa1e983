"""Many accounts at once: look at all, hash the good ones, add them in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, SecretStr
from typing_extensions import TypedDict

from posthouse.credentials.legacy import UnknownScheme
from posthouse.credentials.passwords import Secrets, Wanted, take_over
from posthouse.mail.address import parse_address
from posthouse.runtime.logins import keys_of
from posthouse.storage import directory
from posthouse.storage.directory import Found, NewAccount
from posthouse.storage.pool import Pool
from postmaster.api.fields import address_key, password_fault
from postmaster.api.hashing import Hasher


class Entry(BaseModel):
    """One account; looked at by itself, not at the border: one bad row refuses itself only.

    It has a password, or the hash that another house made of it: Unix crypt, a Dovecot scheme.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    password: SecretStr | None = None
    password_hash: SecretStr | None = None


class Refused(TypedDict):
    """One that was not added.

    Attributes:
        index: Its place in the request, from 0.
        address: As it was given.
        reason: Why not.
    """

    index: int
    address: str
    reason: str


class Imported(TypedDict):
    """What became of a request, or would become in a dry run.

    Attributes:
        added: How many were made.
        unchanged: How many were there already and were left as they are, password included.
        refused: Those that cannot be made.
        shadowed: Those that get no mail or take another's; they were made because it was forced.
    """

    added: int
    unchanged: int
    refused: list[Refused]
    shadowed: list[Refused]


@dataclass(slots=True)
class _Row:
    """One entry on its way.

    Attributes:
        index: Its place in the request.
        entry: What was asked for.
        key: Its address in the form of `Address.key`; empty if it is none.
        fault: Why it cannot be made.
        made: What is stored of its password; None as long as it is not hashed.
        exists: It is there already.
        shadow: Why its mail would go astray.
    """

    index: int
    entry: Entry
    key: str
    fault: str = ""
    made: Secrets | None = None
    exists: bool = False
    shadow: str = ""

    def told(self, reason: str) -> Refused:
        """Return what is said of it."""
        return Refused(index=self.index, address=self.entry.address, reason=reason)


async def import_entries(
    pool: Pool, hasher: Hasher, entries: Sequence[Entry], *, force: bool, dry_run: bool
) -> Imported:
    """Add what can be added; with a dry run, only tell.

    Raises `Shadowed` if one would get no mail or take another's, unless that is meant (``force``);
    then none is added.
    """
    rows = [_Row(at, entry, _key(entry.address)) for at, entry in enumerate(entries)]
    await _look_at(pool, hasher.wanted, rows)
    new = [row for row in rows if not (row.fault or row.exists)]
    shadows = await directory.shadows_of_accounts(pool, [parse_address(row.key) for row in new])
    reasons = {shadow.address: shadow.reason for shadow in shadows}
    for row in new:
        row.shadow = reasons.get(row.key, "")
    if not dry_run:
        if shadows and not force:  # told before the work; whoever comes between is found below
            raise directory.Shadowed(shadows)
        await _add(pool, hasher, new, force=force)
    return Imported(
        added=sum(not row.exists for row in new),
        unchanged=sum(row.exists for row in rows),
        refused=[row.told(row.fault) for row in rows if row.fault],
        shadowed=[row.told(row.shadow) for row in new if row.shadow and not row.exists],
    )


async def _look_at(pool: Pool, wanted: Wanted, rows: Sequence[_Row]) -> None:
    """Note the faults that can be seen without hashing, and who is there already."""
    found = await directory.resolve(pool, [row.key for row in rows if row.key])
    seen: set[str] = set()
    for row in rows:
        row.fault = _fault(row, found) or _unfit(row, wanted)
        if not row.fault and row.key in seen:
            row.fault = "stands twice in the list"
        row.exists = not row.fault and found[row.key].account is not None
        seen.add(row.key)


async def _add(pool: Pool, hasher: Hasher, rows: Sequence[_Row], *, force: bool) -> None:
    said = {row.index: row.entry.password.get_secret_value() for row in rows if row.entry.password}
    hashed = dict(zip(said, await hasher.many(tuple(said.values())), strict=True))
    added = await directory.add_accounts(
        pool, [_account(row.key, row.made or hashed[row.index]) for row in rows], force=force
    )
    for row in rows:
        row.exists = row.key not in added  # somebody else was faster


def _key(text: str) -> str:
    """Return the form in which an address is kept, which is one, too; empty if it is none."""
    try:
        return address_key(address_key(text))
    except ValueError:
        return ""


def _fault(row: _Row, found: dict[str, Found]) -> str:
    if not row.key:
        return "is not an address"
    return "" if found[row.key].domain is not None else "is not in one of our domains"


def _unfit(row: _Row, wanted: Wanted) -> str:
    """Return why its password cannot be taken; take a hash over as it is."""
    password, made = row.entry.password, row.entry.password_hash
    if (password is None) == (made is None):
        return "needs a password or the hash of one"
    if password is not None:
        return password_fault(password.get_secret_value()) or ""
    try:
        row.made = take_over(made.get_secret_value() if made else "", wanted)
    except UnknownScheme as fault:
        return f"its hash {fault}"
    return ""


def _account(address: str, made: Secrets) -> NewAccount:
    return NewAccount(address=address, password_hash=made.password_hash, keys=keys_of(made))
