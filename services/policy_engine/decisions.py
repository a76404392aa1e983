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

What the directory must still be asked comes back as ``missing``; whoever drives asks and calls
again. An address that leads back to itself is delivered if it has a mailbox, and is unroutable if
it has none. The first decision stands: it is recorded, and never made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date

from policy_engine.dead_ends import CLOSED, LOOP, NO_ADDRESS, NO_RIGHT, NOBODY, Dead
from policy_engine.places import Known, Place, a_labels, find, is_postmaster, keys_of
from policy_engine.receipts import handed_on
from policy_engine.returned import meant
from policy_engine.srs import Rewriter, looks_rewritten
from posthouse.mail.address import Address, BadAddress, parse_address
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import DEFAULT
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.ledger import Branch, Decision, Expanded, Kept

MAX_DEPTH = 10  # aliases of aliases
MAX_TARGETS = 10_000  # of one recipient, all levels together


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decisions rest on besides the directory.

    Attributes:
        rewriter: Makes and reads senders of forwarded mail.
        today: For the age of those.
        returns: Reads our return paths.
        hostname: Our name; of its addresses only postmaster is known.
        postmaster: Who takes the mail to postmaster of every domain of ours; empty for nobody.
    """

    rewriter: Rewriter
    returns: ReturnPaths
    today: date
    hostname: str = ""
    postmaster: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was decided for one message.

    Attributes:
        decisions: One per recipient; a branch on the road local without an account is dead.
        dead: Why, by address in lower case.
        missing: Keys to ask the directory for; if there are any, the rest is not final.
    """

    decisions: tuple[Decision, ...]
    dead: dict[str, Dead]
    missing: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Where we are on the way from a recipient.

    Attributes:
        path: The keys that were passed.
        domain: Of the last address passed, one of ours; empty at the beginning.
        owner: Of the innermost group passed.
    """

    path: tuple[str, ...] = ()
    domain: str = ""
    owner: str | None = None

    def beyond(self, place: Place, owner: str | None = None) -> _Step:
        """Return the step behind ``place``."""
        domain = place.key.rpartition("@")[2]
        return _Step(path=(*self.path, place.key), domain=domain, owner=owner or self.owner)


def plan(recipients: Sequence[InboundRecipient], sender: str, known: Known, rules: Rules) -> Plan:
    """Decide where ``recipients`` of one message go."""
    walk = _Walk(sender=sender, known=known, rules=rules)
    seen: set[str] = set()
    decisions: list[Decision] = []
    for recipient in recipients:
        branches = walk.branches(recipient.address)
        decision = _decision(recipient, branches, seen)
        if recipient.notify != DEFAULT and isinstance(decision, Expanded):
            named = {each.address.lower() for each in recipients}
            children = handed_on(recipient.notify, decision.children, named)
            decision = replace(decision, children=children)
        decisions.append(decision)
    return Plan(decisions=tuple(decisions), dead=walk.dead, missing=frozenset(walk.missing))


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


def first_keys(recipients: Sequence[InboundRecipient]) -> Iterator[str]:
    """Yield the keys that `plan` will miss first, so that it need not run to name them."""
    for recipient in recipients:
        with suppress(BadAddress):
            yield from keys_of(parse_address(recipient.address))


def _decision(recipient: InboundRecipient, branches: Sequence[Branch], seen: set[str]) -> Decision:
    """Keep a recipient that only became more exact; whoever gets the message already is left out."""
    fresh = [branch for branch in branches if branch.address.lower() not in seen]
    seen.update(branch.address.lower() for branch in fresh)
    is_same = len(fresh) == 1 and fresh[0].address.lower() == recipient.address.lower()
    if is_same and not fresh[0].redistributed:
        return Kept(recipient.n, fresh[0])
    return Expanded(recipient.n, tuple(fresh))


@dataclass(slots=True)
class _Walk:
    """Follows the addresses of one message."""

    sender: str
    known: Known
    rules: Rules
    dead: dict[str, Dead] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    _found: dict[str, Branch] = field(default_factory=dict)
    _steps: int = 0

    def branches(self, address: str) -> tuple[Branch, ...]:
        """Return where ``address`` leads in the end, each place once."""
        self._found = {}
        self._steps = 0
        self._follow(address, _Step())
        return tuple(self._found.values())

    def _follow(self, text: str, step: _Step) -> None:
        self._steps += 1
        if len(step.path) > MAX_DEPTH or self._steps > MAX_TARGETS:
            self._bury(text, LOOP)
            return
        try:
            address = meant(parse_address(text), self.rules.returns, self.rules.today)
        except BadAddress:
            self._bury(text, NO_ADDRESS)
            return
        if not self._knows(address):
            return
        place = find(address, self.known)
        if place is None:
            self._leave(address, step)
        elif place.is_known:
            self._enter(address, place, step)
        else:
            self._fall_back(address, place, step)

    def _enter(self, address: Address, place: Place, step: _Step) -> None:
        """Follow an alias, or arrive at an account."""
        passed = place.key in step.path
        if place.alias is not None and not passed:
            behind = step.beyond(place, owner=place.alias.owner)
            for target in place.alias.targets:
                self._follow(target, behind)
        elif place.account is None:
            self._bury(str(address), LOOP)
        elif not place.account.enabled:
            self._bury(str(address), CLOSED)
        elif place.forward is not None and not passed:
            if place.forward.keep_copy:
                self._deliver(address, place, step)
            for target in place.forward.targets:
                self._follow(target, step.beyond(place))
        else:
            self._deliver(address, place, step)

    def _fall_back(self, address: Address, place: Place, step: _Step) -> None:
        """An address of ours that nobody has."""
        if not self.sender and looks_rewritten(address):
            original = self.rules.rewriter.reverse(address, self.rules.today)
            if original is not None:
                self._follow(original, step.beyond(place))
                return
        catch_all = place.domain.catch_all
        if self.rules.postmaster and is_postmaster(address) and place.key not in step.path:
            self._follow(self.rules.postmaster, step.beyond(place))
        elif catch_all and place.key not in step.path:
            self._follow(catch_all, step.beyond(place))
        else:
            self._bury(str(address), LOOP if catch_all else NOBODY)

    def _deliver(self, address: Address, place: Place, step: _Step) -> None:
        if place.account is None:
            raise ValueError("nobody lives there")
        final = str(address).lower() if place.detail else place.account.address
        self._add(
            Branch(
                road="local",
                address=final,
                account=place.account.id,
                folder=place.detail,
                sender=self._owner(step),
                redistributed=self._owner(step) is not None,
            )
        )

    def _leave(self, address: Address, step: _Step) -> None:
        """An address that is not ours, unless it is our own name's postmaster."""
        is_own = address.domain == self.rules.hostname.lower() and is_postmaster(address)
        if is_own and self.rules.postmaster and address.key not in step.path:
            behind = _Step(path=(*step.path, address.key), domain=step.domain, owner=step.owner)
            self._follow(self.rules.postmaster, behind)
        else:
            self._send_out(address, step)

    def _send_out(self, address: Address, step: _Step) -> None:
        if address.domain.startswith("["):  # never accepted at RCPT: somebody's alias or forward
            self._bury(str(address), NO_ADDRESS)
            return
        sender = self._outer_sender(step)
        self._add(
            Branch(
                road="remote",
                address=str(address),
                domain=a_labels(address.domain),
                sender=sender,
                redistributed=sender is not None and sender in (step.owner, *step.path),
            )
        )

    def _owner(self, step: _Step) -> str | None:
        """A bounce keeps the null sender, whatever it passes (RFC 5321 §4.5.5)."""
        return step.owner if self.sender and step.owner else None

    def _outer_sender(self, step: _Step) -> str | None:
        """Return the sender that a forwarded message needs outside, None for its own."""
        if not self.sender or not step.domain:
            return None
        if step.owner:
            return step.owner
        try:
            sender = parse_address(self.sender)
        except BadAddress:
            return None
        if not self._knows(sender) or find(sender, self.known) is not None:
            return None  # a sender of ours may send from here
        rewritten = self.rules.rewriter.forward(sender, step.domain, self.rules.today)
        return rewritten or step.path[0]

    def _knows(self, address: Address) -> bool:
        unknown = [key for key in keys_of(address) if key not in self.known]
        self.missing.update(unknown)
        return not unknown

    def _bury(self, address: str, why: Dead) -> None:
        self.dead[address.lower()] = why
        self._add(Branch(road="local", address=address))

    def _add(self, branch: Branch) -> None:
        """Keep the first way to each address; a living one before a dead one."""
        self._found.setdefault(branch.address.lower(), branch)
