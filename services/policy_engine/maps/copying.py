"""Copies that operators want: of a sender's mail, of a recipient's, of all. Pure.

The entries of all levels count together: those of the address, of its domain, of everything. Nobody
is told what becomes of a copy, and of reports, which have no sender, there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from policy_engine.maps.looking import Maps
from policy_engine.places import Known, keys_of
from posthouse.mail.address import Address
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import NEVER, Notify
from posthouse.mail.maps import Kind
from posthouse.storage.ledger import Branch, Decision, Expanded, Kept

UNTOLD = Notify(on=NEVER)


def copies(
    sender: Address, recipients: Sequence[Address], maps: Maps, known: Known
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return who gets a copy of a message, and what must be known before that is final."""
    asked: list[tuple[Kind, Address]] = [("sender-bcc", sender)]
    asked += [("recipient-bcc", each) for each in recipients]
    wanted: dict[str, None] = {}
    missing: set[str] = set()
    for kind, address in asked:
        if kind not in maps.kinds:
            continue
        unknown = {key for key in (*keys_of(address), *maps.keys(address)) if key not in known}
        missing |= unknown
        if not unknown:
            for match in maps.all_of(kind, address, known):
                wanted |= dict.fromkeys(match.targets)
    return tuple(wanted), frozenset(missing)


def with_copies(
    decisions: Sequence[Decision],
    recipients: Sequence[InboundRecipient],
    branches: Sequence[Branch],
) -> tuple[Decision, ...]:
    """Return ``decisions`` with ``branches`` as further children of the first recipient."""
    if not branches or not decisions:
        return tuple(decisions)
    first, told = decisions[0], tuple(replace(each, notify=UNTOLD) for each in branches)
    if isinstance(first, Kept):
        own = replace(first.to, notify=recipients[0].notify)
        return (Expanded(first.n, (own, *told)), *decisions[1:])
    return (replace(first, children=(*first.children, *told)), *decisions[1:])
