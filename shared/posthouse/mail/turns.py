"""Whose turn it is: tenants in turn, of each its senders in turn, of each the oldest. Pure.

A tenant is a domain that we send for. Who brings much waits behind himself alone; and when there is no
more room, whoever takes most of it gives way to who has less (`yielding_to`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Party:
    """For whom a mail waits.

    Attributes:
        tenant: The sender's domain; empty for reports.
        sender: The whole reverse path.
    """

    tenant: str
    sender: str

    @classmethod
    def of(cls, sender: str) -> Party:
        """Return whose a mail with this reverse path is."""
        return cls(sender.rpartition("@")[2].lower(), sender)


@dataclass(slots=True)
class _Tenant(Generic[T]):
    count: int = 0
    senders: OrderedDict[str, OrderedDict[T, None]] = field(default_factory=OrderedDict)


class Line(Generic[T]):
    """What waits, in the order in which it goes; a ticket stands in it once."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, _Tenant[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def join(self, party: Party, ticket: T) -> None:
        """Put ``ticket`` behind the others of its sender."""
        tenant = self._tenants.setdefault(party.tenant, _Tenant())
        tenant.senders.setdefault(party.sender, OrderedDict())[ticket] = None
        tenant.count += 1
        self._count += 1

    def leave(self, party: Party, ticket: T) -> bool:
        """Take ``ticket`` out; False if it is no longer there."""
        tenant = self._tenants.get(party.tenant)
        waiting = tenant.senders.get(party.sender) if tenant else None
        if not waiting or ticket not in waiting:
            return False
        del waiting[ticket]
        self._shrink(party)
        return True

    def next(self) -> T | None:
        """Take out whose turn it is; None if nobody waits."""
        if not self._tenants:
            return None
        name, tenant = next(iter(self._tenants.items()))
        sender, waiting = next(iter(tenant.senders.items()))
        ticket, _ = waiting.popitem(last=False)
        self._tenants.move_to_end(name)
        tenant.senders.move_to_end(sender)
        self._shrink(Party(name, sender))
        return ticket

    def yielding_to(self, party: Party) -> Party | None:
        """Return who has most, if that is more than ``party`` would have with one more."""
        own = self._tenants.get(party.tenant)
        count = own.count if own else 0
        name, tenant = max(
            self._tenants.items(), key=lambda entry: entry[1].count, default=(party.tenant, own)
        )
        if tenant and tenant.count > count + 1:
            return Party(name, _longest(tenant.senders))
        if own is None:
            return None
        sender = _longest(own.senders)
        if len(own.senders[sender]) > len(own.senders.get(party.sender, ())) + 1:
            return Party(party.tenant, sender)
        return None

    def newest_of(self, party: Party) -> T:
        """Take out the newest of ``party``, who waits here."""
        ticket, _ = self._tenants[party.tenant].senders[party.sender].popitem(last=True)
        self._shrink(party)
        return ticket

    def largest(self) -> Party | None:
        """Return who has most; None if nobody waits."""
        if not self._tenants:
            return None
        name, tenant = max(self._tenants.items(), key=lambda entry: entry[1].count)
        return Party(name, _longest(tenant.senders))

    def _shrink(self, party: Party) -> None:
        """Count one less of ``party``, and forget who has nothing left."""
        tenant = self._tenants[party.tenant]
        tenant.count -= 1
        self._count -= 1
        if not tenant.senders[party.sender]:
            del tenant.senders[party.sender]
        if not tenant.count:
            del self._tenants[party.tenant]


def _longest(senders: Mapping[str, Sized]) -> str:
    return max(senders, key=lambda sender: len(senders[sender]))
