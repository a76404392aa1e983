"""How a recipient stands in the ledger, and the envelopes that say so on the roads. Pure.

`envelopes_of` is the one place that turns rows into envelopes: routing publishes by it, and so do
the sweeper and the rebuilding of a lost broker, which therefore send what routing would have sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.mail.envelope import (
    Body,
    Envelope,
    Inbound,
    InboundRecipient,
    Local,
    LocalRecipient,
    Remote,
    Summary,
)
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.storage.pool import Row

Road: TypeAlias = Literal["local", "remote"]
State: TypeAlias = Literal[
    "accepted", "routed", "deferred", "held", "dead",
    "expanded", "delivered", "relayed", "bounced", "discarded",
]  # fmt: skip

STANDING_COLUMNS = """
    r.n, r.address, r.state, r.road, r.account_id, r.folder, r.domain, r.sender, r.attempts,
    r.warned, r.notify, r.orcpt, r.redistributed, r.via, r.verdict, r.paused
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What all envelopes of one message have in common.

    Attributes:
        id: The message.
        sender: The reverse path as accepted; branches may have their own.
        size: Octets of the stored object.
        body: What the client declared (RFC 6152 §2).
        smtputf8: The message needs SMTPUTF8 (RFC 6531 §3.4).
        auth: The account that submitted it.
        handling: What its sender asks for.
        summary: The scan of its octets, if it travels.
        junk: It looks like spam.
        unjudged: Nobody has judged its content.
        wait: Why it waits for an operator.
    """

    id: UUID
    sender: str
    size: int
    body: Body = "7BIT"
    smtputf8: bool = False
    auth: str = ""
    handling: Handling = PLAIN
    summary: Summary | None = None
    junk: bool = False
    unjudged: bool = False
    wait: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One unsettled recipient.

    Attributes:
        n: Its number within the message.
        address: Where it goes to.
        state: accepted, routed, deferred, held or dead.
        road: Where it travels; None before routing.
        account: Whose mailbox, on the road local.
        folder: The mailbox asked for by plus addressing; empty for INBOX.
        domain: The next hop, on the road remote.
        sender: The reverse path of this branch, if it is not the message's.
        attempts: How often delivery was tried and deferred.
        warned: The sender was told of the delay.
        notify: What its sender wants to be told of.
        redistributed: A group of ours answers for it: what the message's sender asked for is not
            handed on (RFC 3461 §5.2.7.1).
        via: The next hop that an operator chose.
        verdict: What its sender is told, because an operator ends it.
        paused: Seconds that an operator has held it.
    """

    n: int
    address: str
    state: State = "accepted"
    road: Road | None = None
    account: int | None = None
    folder: str = ""
    domain: str | None = None
    sender: str | None = None
    attempts: int = 0
    warned: bool = False
    notify: Notify = DEFAULT
    redistributed: bool = False
    via: str = ""
    verdict: str = ""
    paused: int = 0


def standing_of(row: Row) -> Standing:
    """Make the value of a row that has `STANDING_COLUMNS`."""
    return Standing(
        n=row["n"],
        address=row["address"],
        state=row["state"],
        road=row["road"],
        account=row["account_id"],
        folder=row["folder"] or "",
        domain=row["domain"],
        sender=row["sender"],
        attempts=row["attempts"],
        warned=row["warned"],
        notify=_notify(row),
        redistributed=bool(row["redistributed"]),
        via=row["via"] or "",
        verdict=row["verdict"] or "",
        paused=int(row["paused"].total_seconds()) if row["paused"] else 0,
    )


def _notify(row: Row) -> Notify:
    on, orcpt = row["notify"], row["orcpt"]
    if on is None and orcpt is None:
        return DEFAULT
    return Notify(on=on or "", orcpt=orcpt or "")


def facts_of(envelope: Inbound) -> Facts:
    """Return what an envelope from the road ``mail.inbound`` says of its message."""
    return Facts(
        id=envelope.id,
        sender=envelope.sender,
        size=envelope.size,
        body=envelope.body,
        smtputf8=envelope.smtputf8,
        auth=envelope.auth,
        handling=envelope.handling,
        summary=envelope.summary,
        junk=envelope.junk,
        unjudged=envelope.unjudged,
        wait=envelope.wait,
    )


def envelopes_of(facts: Facts, standings: Iterable[Standing]) -> tuple[Envelope, ...]:
    """Return the fewest envelopes that carry these recipients on, in the order of their numbers.

    The dead are left out: they wait in the dead letters.
    """
    together: defaultdict[Standing, list[Standing]] = defaultdict(list)
    for standing in sorted(standings, key=lambda s: s.n):
        if standing.state != "dead":
            together[_kind(standing)].append(standing)
    return tuple(_envelope(facts, kind, members) for kind, members in together.items())


def _kind(standing: Standing) -> Standing:
    """Equal for recipients that can share an envelope."""
    state: State = "accepted" if standing.road is None else "routed"
    return replace(standing, n=0, address="", state=state, account=None, folder="", notify=DEFAULT)


def _envelope(facts: Facts, kind: Standing, members: Sequence[Standing]) -> Envelope:
    if kind.sender is not None:
        facts = replace(facts, sender=kind.sender)
    if kind.redistributed:
        facts = replace(facts, handling=_handed_on(facts.handling))
    if kind.road == "local":
        return _local(facts, kind, members)
    addressed = tuple(InboundRecipient(n=m.n, address=m.address, notify=m.notify) for m in members)
    if kind.road is None:
        return _inbound(facts, kind, addressed)
    return _remote(facts, kind, addressed)


def _inbound(facts: Facts, kind: Standing, addressed: tuple[InboundRecipient, ...]) -> Inbound:
    return Inbound(
        id=facts.id,
        sender=facts.sender,
        size=facts.size,
        body=facts.body,
        smtputf8=facts.smtputf8,
        handling=facts.handling,
        recipients=addressed,
        auth=facts.auth,
        summary=facts.summary,
        junk=facts.junk,
        unjudged=facts.unjudged,
        wait=facts.wait,
        attempts=kind.attempts,
        warned=kind.warned,
    )


def _remote(facts: Facts, kind: Standing, addressed: tuple[InboundRecipient, ...]) -> Remote:
    return Remote(
        id=facts.id,
        sender=facts.sender,
        size=facts.size,
        body=facts.body,
        smtputf8=facts.smtputf8,
        handling=facts.handling,
        domain=kind.domain or "",
        recipients=addressed,
        attempts=kind.attempts,
        warned=kind.warned,
        via=kind.via,
        verdict=kind.verdict,
        paused=kind.paused,
    )


def _local(facts: Facts, kind: Standing, members: Sequence[Standing]) -> Local:
    return Local(
        id=facts.id,
        sender=facts.sender,
        size=facts.size,
        body=facts.body,
        smtputf8=facts.smtputf8,
        handling=facts.handling,
        recipients=tuple(
            LocalRecipient(
                n=m.n, address=m.address, account=m.account or 0, folder=m.folder, notify=m.notify
            )
            for m in members
        ),
        auth=facts.auth,
        summary=facts.summary,
        junk=facts.junk,
        attempts=kind.attempts,
        warned=kind.warned,
    )


def _handed_on(handling: Handling) -> Handling:
    """Return what of ``handling`` holds beyond a group: the secrecy of the way, and its start."""
    if not (handling.requiretls or handling.hold):
        return PLAIN
    return Handling(requiretls=handling.requiretls, hold=handling.hold)
