"""Where each recipient goes: the pure core of routing.

An address is followed through aliases, groups, forwards and catch-alls until only mailboxes of
ours and addresses of others are left:

    alias, group ─▶ targets      a group's owner becomes the envelope sender, to get the bounces
    account      ─▶ mailbox, or its forwards, or both
    disabled     ─▶ nobody, as at admission: its forwards rest too
    base+detail  ─▶ base's mailbox, with the folder of that name
    SRS0=…       ─▶ whom a rewritten sender stands for (bounces only)
    base+tag     ─▶ whose return path it is
    otherwise    ─▶ the domain's catch-all

Before that the sender and each recipient go through the canonical maps, and behind it copies are
added (the maps sender-bcc and recipient-bcc): `policy_engine.walking`, `policy_engine.maps`.

What the directory must still be asked comes back as ``missing``; whoever drives asks and calls
again. An address that leads back to itself is delivered if it has a mailbox, and is unroutable if
it has none. The first decision stands: it is recorded, and never made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from policy_engine.dead_ends import NO_RIGHT, Dead
from policy_engine.maps.copying import copies
from policy_engine.maps.holding import reason_to_hold
from policy_engine.maps.looking import Maps
from policy_engine.maps.rewriting import SENDER, rewritten
from policy_engine.places import Known, keys_of
from policy_engine.receipts import handed_on
from policy_engine.rights import read
from policy_engine.walking import MAX_DEPTH, MAX_ROUNDS, Rules, Walk
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import DEFAULT
from posthouse.storage.ledger import Branch, Decision, Expanded, Kept, branches_of

__all__ = ["MAX_DEPTH", "MAX_ROUNDS", "Plan", "Rules", "first_keys", "plan", "turn_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was decided for one message.

    Attributes:
        decisions: One per recipient; a branch on the road local without an account is dead.
        dead: Why, by address in lower case.
        missing: Keys to ask the directory for; if there are any, the rest is not final.
        copies: Where copies go that operators want (`policy_engine.maps.copying`).
        hold: Why the message waits for an operator; empty if it does not.
        trails: What was passed on the way to an address, in words; of copies too.
    """

    decisions: tuple[Decision, ...]
    dead: dict[str, Dead]
    missing: frozenset[str]
    copies: tuple[Branch, ...] = ()
    hold: str = ""
    trails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def plan(
    recipients: Sequence[InboundRecipient],
    sender: str,
    known: Known,
    rules: Rules,
    poster: str = "",
) -> Plan:
    """Decide where ``recipients`` of one message go; ``poster`` is the account that submitted it."""
    sent_as, unknown = _sent_as(sender, known, rules)
    walk = Walk(sender=sent_as, known=known, rules=rules, poster=poster)
    walk.missing.update(unknown)
    seen: set[str] = set()
    decisions: list[Decision] = []
    for recipient in recipients:
        branches = walk.branches(recipient.address)
        if sent_as != sender:
            branches = _from(sent_as, branches)
        decision = _decision(recipient, branches, seen)
        if recipient.notify != DEFAULT and isinstance(decision, Expanded):
            named = {each.address.lower() for each in recipients}
            children = handed_on(recipient.notify, decision.children, named)
            decision = replace(decision, children=children)
        decisions.append(decision)
    made = Plan(
        decisions=tuple(decisions),
        dead=walk.dead,
        missing=frozenset(walk.missing),
        trails=walk.trails,
    )
    return _with_more(made, recipients, walk) if rules.maps.kinds else made


def _sent_as(sender: str, known: Known, rules: Rules) -> tuple[str, tuple[str, ...]]:
    """Return the sender that canonical maps make of ``sender``, and what must be known before."""
    address = read(sender) if sender and rules.maps.kinds else None
    if address is None:
        return sender, ()
    after = rewritten(address, SENDER, rules.maps, known)
    return (str(after.address) if after.by else sender), after.missing


def _from(sender: str, branches: Sequence[Branch]) -> tuple[Branch, ...]:
    return tuple(replace(each, sender=sender) if each.sender is None else each for each in branches)


def _with_more(made: Plan, recipients: Sequence[InboundRecipient], walk: Walk) -> Plan:
    """Return ``made`` with the copies that are wanted, and held if it is to be."""
    maps, known, sender = walk.rules.maps, walk.known, read(walk.sender)
    to = [address for each in recipients if (address := read(each.address))]
    hold, missing = reason_to_hold(sender, to, maps, known)
    wanted: tuple[str, ...] = ()
    if sender is not None:
        wanted, unknown = copies(sender, to, maps, known)
        missing |= unknown
    taken = {branch.address.lower() for each in made.decisions for branch in branches_of(each)}
    branches = {branch.address.lower(): branch for each in wanted for branch in walk.branches(each)}
    return replace(
        made,
        missing=missing | walk.missing,
        copies=_from(walk.sender, [b for key, b in branches.items() if key not in taken]),
        hold=hold,
    )


def turn_back(
    recipients: Sequence[InboundRecipient], account: str | None, why: Dead = NO_RIGHT
) -> Plan:
    """Let no recipient have a message, and ``account``, which submitted it, be told why.

    None leaves that to the sender, who hears nothing if there is none.
    """
    return Plan(
        decisions=tuple(
            Kept(to.n, Branch(road="local", address=to.address, sender=account))
            for to in recipients
        ),
        dead={to.address.lower(): why for to in recipients},
        missing=frozenset(),
    )


def first_keys(recipients: Sequence[InboundRecipient], maps: Maps) -> Iterator[str]:
    """Yield the keys that `plan` will miss first, so that it need not run to name them."""
    for recipient in recipients:
        with suppress(BadAddress):
            address = parse_address(recipient.address)
            yield from keys_of(address)
            yield from maps.keys(address)


def _decision(recipient: InboundRecipient, branches: Sequence[Branch], seen: set[str]) -> Decision:
    """Keep a recipient that only became more exact; whoever gets the message already is left out."""
    fresh = [branch for branch in branches if branch.address.lower() not in seen]
    seen.update(branch.address.lower() for branch in fresh)
    is_same = len(fresh) == 1 and fresh[0].address.lower() == recipient.address.lower()
    if is_same and not fresh[0].redistributed:
        return Kept(recipient.n, fresh[0])
    return Expanded(recipient.n, tuple(fresh))
