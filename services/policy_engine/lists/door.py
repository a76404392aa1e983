"""Lists at the door: steps of the judgement of a recipient. Mail of this house passes them by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from policy_engine.arrival import Arrival
from policy_engine.lists.access import AccessLists, keys_of, lists_of
from policy_engine.lists.decision import decide
from policy_engine.lists.proof import SenderProof
from policy_engine.lists.zones import Zones
from policy_engine.places import is_postmaster
from policy_engine.rights import read
from posthouse.authenticity.iprev import check_reverse
from posthouse.authenticity.names import Names
from posthouse.mail.access_keys import Kind
from posthouse.mail.admission import RcptQuestion, Verdict, accept, refuse
from posthouse.mail.status import Status
from posthouse.storage.access import Entry

NOT_WELCOME = Status(550, (5, 7, 1))  # RFC 3463 §3.8
DENIED = "Mail from you is not taken here"
KINDS: tuple[Kind, ...] = ("sender", "client", "hello", "reverse")  # what is known at the door


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
        if not asked.is_relay:
            given |= {"client": (asked.client,), "hello": (asked.helo,)}
            if "reverse" in kinds:
                given["reverse"] = (await self._reverse(asked.client),)
        keys = keys_of([kind for kind in KINDS if kind in kinds], given)
        whose = lists_of(asked.recipient)
        found = await self._lists.find(keys, whose)
        decision = decide(await self._believed(found, asked), keys, whose)
        if decision.denies:
            return refuse(NOT_WELCOME, DENIED, "deny list")
        return accept("allow list") if decision.allows else None

    async def _believed(self, found: Sequence[Entry], asked: RcptQuestion) -> list[Entry]:
        """Leave out who would be let in under a name that is not proved to be theirs."""
        doubted = [each for each in found if needs_proof(each)]
        if not doubted:
            return list(found)
        is_proved = await self._proof.passes(asked)
        return [e for e in found if not needs_proof(e) or (is_proved and e.kind == "sender")]

    async def _reverse(self, client: str) -> str:
        try:
            async with asyncio.timeout(self._patience):
                return (await check_reverse(self._names, client)).name
        except TimeoutError:
            return ""


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
        if arrival.is_trusted or asked.is_relay or (recipient and is_postmaster(recipient)):
            return None  # who is listed must be able to ask why (RFC 5321 §4.5.1)
        standing = await self._zones.standing(
            asked.client, asked.sender.rpartition("@")[2], asked.helo
        )
        if self._refuse_at is not None and standing.total >= self._refuse_at and standing.listings:
            return refuse(NOT_WELCOME, await self._zones.text_of(standing.worst), "list in DNS")
        return accept("list of good senders") if standing.total < 0 else None


def needs_proof(entry: Entry) -> bool:
    """True if an entry lets in who only says who they are."""
    claimed = entry.kind not in {"client", "reverse"}
    return entry.action == "allow" and claimed and not entry.forced
