"""Many accounts at once: look at all, hash the good ones, add them in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, SecretStr
from typing_extensions import TypedDict

from posthouse.storage import directory
from posthouse.storage.directory import Found, NewAccount
from posthouse.storage.pool import Pool
from postmaster.api.fields import address_key, password_fault
from postmaster.api.hashing import Hasher


class Entry(BaseModel):
    """One account; looked at by itself, not at the border: one bad row refuses itself only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    password: SecretStr


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
    """What became of a request."""

    added: int
    refused: list[Refused]


async def import_entries(pool: Pool, hasher: Hasher, entries: Sequence[Entry]) -> Imported:
    """Add what can be added; the order and the outcome of the others do not matter to it."""
    keys = [_key(entry.address) for entry in entries]
    found = await directory.resolve(pool, [key for key in keys if key])
    reasons = [_objection(entry, key, found) for entry, key in zip(entries, keys, strict=True)]
    _refuse_repetitions(keys, reasons)
    good = [at for at, reason in enumerate(reasons) if reason is None]
    hashes = await hasher.many([entries[at].password.get_secret_value() for at in good])
    new = [
        NewAccount(address=keys[at], password_hash=hashed)
        for at, hashed in zip(good, hashes, strict=True)
    ]
    added = await directory.add_accounts(pool, new)
    for at in good:
        if keys[at] not in added:  # somebody else was faster
            reasons[at] = "is there already"
    refused = [
        Refused(index=at, address=entries[at].address, reason=reason)
        for at, reason in enumerate(reasons)
        if reason is not None
    ]
    return Imported(added=len(added), refused=refused)


def _key(text: str) -> str:
    try:
        return address_key(text)
    except ValueError:
        return ""


def _objection(entry: Entry, key: str, found: dict[str, Found]) -> str | None:
    if not key:
        return "is not an address"
    fault = password_fault(entry.password.get_secret_value())
    if fault is not None:
        return fault
    if found[key].domain is None:
        return "is not in one of our domains"
    if found[key].account is not None:
        return "is there already"
    return None


def _refuse_repetitions(keys: Sequence[str], reasons: list[str | None]) -> None:
    seen: set[str] = set()
    for at, key in enumerate(keys):
        if reasons[at] is None and key in seen:
            reasons[at] = "stands twice in the list"
        seen.add(key)
