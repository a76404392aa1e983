"""What maps say of a recipient at the door; whoever they say nothing of, the directory judges.

Maps let nobody relay: of an address that is not ours they say nothing here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from msgspec import structs

from policy_engine.dead_ends import moved
from policy_engine.maps.looking import Maps
from policy_engine.maps.rewriting import RECIPIENT, rewritten
from policy_engine.places import Known, find, keys_of
from policy_engine.rights import read
from posthouse.mail.address import Address
from posthouse.mail.admission import RcptQuestion, Verdict, accept, refuse
from posthouse.storage.directory import Found

Resolve: TypeAlias = Callable[[Sequence[str]], Awaitable[dict[str, Found]]]

ROUNDS = len(RECIPIENT) + 1


async def admitted(
    question: RcptQuestion, maps: Maps, resolve: Resolve
) -> tuple[RcptQuestion, Verdict | None]:
    """Return ``question`` on whom canonical maps make of its recipient, and the maps' verdict.

    None leaves that to the directory. Raises `Unavailable`.
    """
    address = read(question.recipient) if maps.kinds else None
    if address is None:
        return question, None
    known = await resolve((*keys_of(address), *maps.keys(address)))
    if find(address, known) is None:
        return question, None
    after = rewritten(address, RECIPIENT, maps, known)
    for _ in range(ROUNDS):
        missing = after.missing or _unknown(after.address, maps, known)
        if not missing:
            break
        known |= await resolve(missing)
        after = rewritten(address, RECIPIENT, maps, known)
    if after.by:
        question = structs.replace(question, recipient=str(after.address))
    return question, _said(after.address, maps, known)


def _unknown(address: Address, maps: Maps, known: Known) -> tuple[str, ...]:
    return tuple(key for key in (*keys_of(address), *maps.keys(address)) if key not in known)


def _said(address: Address, maps: Maps, known: Known) -> Verdict | None:
    place = find(address, known)
    if place is None:
        return accept("canonical map")
    look = maps.narrow if place.is_known else maps.find
    if look("virtual", address, known) is not None:
        return accept("virtual map")
    if (gone := look("relocated", address, known)) is not None:
        dead = moved(gone.targets[0])
        return refuse(dead.status, dead.text, "relocated map")
    if look("transport", address, known) is not None:
        return accept("transport map")
    return None
