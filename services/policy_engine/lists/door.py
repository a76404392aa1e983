"""Lists at the door: steps of the judgement of a recipient. Mail of this house passes them by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from policy_engine.arrival import Arrival
from policy_engine.lists.access import AccessLists, addresses_of, keys_of, lists_of
from policy_engine.lists.decision import decide, reachable
from policy_engine.lists.proof import SenderProof, proved_name
from policy_engine.lists.zones import Zones
from policy_engine.places import must_be_reached
from policy_engine.rights import read
from posthouse.authenticity.names import Names
from posthouse.mail.access_keys import Kind
from posthouse.mail.admission import RcptQuestion, Verdict, accept, refuse
from posthouse.mail.status import Status
from posthouse.storage.access import Entry
from posthouse.telemetry.logs import get_logger

NOT_WELCOME = Status(550, (5, 7, 1))  # RFC 3463 §3.8
NOT_NOW = Status(451, (4, 7, 1))
DENIED = "Mail from you is not taken here"
NOT_TAKEN = "Mail to this address is not taken"
DEFERRED = "Mail from you is not taken now, try again later"
# What is known at the door.
KINDS: tuple[Kind, ...] = ("sender", "recipient", "client", "hello", "reverse")

log = get_logger()


class AccessStep:
    """Refuses who is denied; who is allowed is not looked at by the steps behind."""

    def __init__(
        self, lists: AccessLists, names: Names, proof: SenderProof, patience: timedelta
    ) -> None:
        """Ask ``names`` for a client's name, for at most ``patience``."""
        self._lists = lists
        self._names = names
        self._proof = proof
        self._patience = patience.total_seconds()

    async def __call__(self, arrival: Arrival) -> Verdict | None:
        """Return what the lists say; raise `Unavailable`."""
        asked = arrival.question
        kinds = await self._lists.kinds()
        if arrival.is_trusted or not kinds.intersection(KINDS):
            return None
        given: dict[Kind, Sequence[str]] = {"sender": (asked.sender,)}
        given["recipient"] = addresses_of(asked.recipient)
        if not asked.is_relay:
            given |= {"client": (asked.client,), "hello": (asked.helo,)}
            if "reverse" in kinds:
                given["reverse"] = (await proved_name(self._names, asked.client, self._patience),)
        keys = keys_of([kind for kind in KINDS if kind in kinds], given)
        whose = lists_of(asked.recipient)
        found = await self._lists.find(keys, whose)
        entries = reachable(await self._believed(found, asked), asked.recipient)
        entry = decide(entries, keys, whose).entry
        if entry is not None and not asked.is_trial:
            log.info(
                "entry of a list decided",
                action=entry.action,
                entry=f"{entry.kind} {entry.key}",
                whose=entry.whose,
                client=asked.client,
                sender=asked.sender,
                recipient=asked.recipient,
            )
        return _said(entry)

    async def _believed(self, found: Sequence[Entry], asked: RcptQuestion) -> list[Entry]:
        """Leave out who would be let in under a name that is not proved to be theirs."""
        doubted = [each for each in found if needs_proof(each)]
        if not doubted:
            return list(found)
        is_proved = await self._proof.passes(asked)
        return [e for e in found if not needs_proof(e) or (is_proved and e.kind == "sender")]


class ZonesStep:
    """Refuses who stands on lists in DNS, and spares good senders the steps behind."""

    def __init__(self, zones: Zones, refuse_at: float | None) -> None:
        """Refuse a total of ``refuse_at`` points; None: never."""
        self._zones = zones
        self._refuse_at = refuse_at

    async def __call__(self, arrival: Arrival) -> Verdict | None:
        """Return what the zones say; raise `Unavailable`."""
        await self._zones.look()  # who judges messages goes by that, too
        asked = arrival.question
        recipient = read(asked.recipient)
        if arrival.is_trusted or asked.is_relay or (recipient and must_be_reached(recipient)):
            return None  # who is listed must be able to ask why
        standing = await self._zones.standing(
            asked.client, asked.sender.rpartition("@")[2], asked.helo
        )
        if self._refuse_at is not None and standing.total >= self._refuse_at and standing.listings:
            return refuse(NOT_WELCOME, await self._zones.text_of(standing.worst), "list in DNS")
        return accept("list of good senders") if standing.total < 0 else None


def needs_proof(entry: Entry) -> bool:
    """True if an entry lets in who only says who they are."""
    claimed = entry.kind not in {"client", "reverse", "recipient"}
    return entry.action == "allow" and claimed and not entry.forced


def text_of(entry: Entry) -> str:
    """Return what a sender is told whom ``entry`` refuses."""
    if entry.action == "defer":
        return entry.text or DEFERRED
    return entry.text or (NOT_TAKEN if entry.kind == "recipient" else DENIED)


def _said(entry: Entry | None) -> Verdict | None:
    """Return what is answered where ``entry`` decides."""
    if entry is None:
        return None
    if entry.action == "deny":
        return refuse(NOT_WELCOME, text_of(entry), "deny list")
    if entry.action == "defer":
        return refuse(NOT_NOW, text_of(entry), "defer list")
    return accept(f"{entry.action} list")
