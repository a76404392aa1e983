"""What an address is here: the directory's answers, put together for one address. Pure.

One address may be looked up under several keys: as written and, when it has a detail, without it
(plus addressing, RFC 5233); an internationalized domain in both its forms, A-labels and U-labels
(RFC 5890 §2.3.2.1). `keys_of` tells which must be known before `find` can answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from posthouse.mail.address import Address
from posthouse.mail.details import splits_of
from posthouse.mail.idn import a_labels, u_labels
from posthouse.storage.directory import Account, Alias, Domain, Forward, Found

Known: TypeAlias = Mapping[str, Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One address of a domain of ours.

    Attributes:
        key: The form it was found under, its detail left away; in a domain of ours in any case.
        domain: The domain, with its catch-all.
        account: Who has the mailbox.
        alias: What it stands for.
        forward: Where the account's mail goes.
        detail: What plus addressing asked for.
    """

    key: str
    domain: Domain
    account: Account | None = None
    alias: Alias | None = None
    forward: Forward | None = None
    detail: str = ""

    @property
    def is_known(self) -> bool:
        """True if somebody or something has this address, the catch-all aside."""
        return self.account is not None or self.alias is not None


def is_postmaster(address: Address) -> bool:
    """True for the mailbox that every domain must have (RFC 5321 §4.5.1)."""
    return address.local.lower() == "postmaster"


def must_be_reached(address: Address) -> bool:
    """True for who takes mail of those whom we refuse (RFC 5321 §4.5.1, RFC 2142 §4)."""
    return address.local.lower() in {"postmaster", "abuse"}


@lru_cache(maxsize=4096)  # each round of a batch asks the same
def keys_of(address: Address) -> tuple[str, ...]:
    """Return all keys under which ``address`` is looked up, the most exact first."""
    own = address.domain
    if own.isascii() and "xn--" not in own:
        domains: Iterable[str] = (own,)
    else:
        domains = dict.fromkeys((own, a_labels(own), u_labels(own)))
    return tuple(f"{local}@{domain}" for local in locals_of(address) for domain in domains)


def locals_of(address: Address) -> tuple[str, ...]:
    """Return the local part as it is looked up, then without what may be a detail, longest first."""
    exact = address.key.rpartition("@")[0]
    return (exact, *(split.base for split in splits_of(address)))


def find(address: Address, known: Known) -> Place | None:
    """Return what ``address`` is here; None if its domain is not ours.

    All of `keys_of` must be in ``known``.
    """
    exact = address.key.rpartition("@")[0]
    splits = {split.base: split for split in splits_of(address)}
    ours: Place | None = None
    for key in keys_of(address):
        found = known[key]
        if found.domain is None:
            continue
        local = key.rpartition("@")[0]
        split = None if local == exact else splits[local]
        if split is not None and split.delimiter not in found.domain.delimiters:
            continue
        place = Place(
            key=key,
            domain=found.domain,
            account=found.account,
            alias=found.alias,
            forward=found.forward,
            detail=split.detail if split else "",
        )
        if place.is_known:
            return place
        ours = ours or place
    return ours
