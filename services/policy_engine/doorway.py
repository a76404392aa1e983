"""The doorway: lists and greylisting, put together for the door and for the judgement of messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from policy_engine.arrival import Step
from policy_engine.content.pipeline import Check
from policy_engine.enquiries import Memory
from policy_engine.greylisting.door import GreylistStep
from policy_engine.greylisting.greylist import Greylist
from policy_engine.greylisting.history import History
from policy_engine.lists.access import AccessLists
from policy_engine.lists.checks import AccessCheck, ZonesCheck
from policy_engine.lists.door import AccessStep, ZonesStep
from policy_engine.lists.links import LinksCheck
from policy_engine.lists.proof import SenderProof
from policy_engine.lists.settings import ListSettings
from policy_engine.lists.zones import Zones
from posthouse.authenticity.names import Names
from posthouse.storage.greylisting import greylisting_of
from posthouse.storage.pool import Pool


class Worker(Protocol):
    """Somebody who works beside the questions."""

    async def work(self) -> None:
        """Work for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """What it consists of.

    Attributes:
        steps: Of the judgement of a recipient, in this order.
        checks: Of messages.
        history: Hears which messages were good.
        greylist: Who has come before.
        memories: What is renewed beside the questions.
    """

    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    history: History
    greylist: Greylist
    memories: tuple[Worker, ...]

    async def work(self) -> None:
        """Do what is done beside the questions, for ever."""
        async with asyncio.TaskGroup() as group:
            for each in (self.greylist, *self.memories):
                group.create_task(each.work())


def open_doorway(settings: ListSettings, pool: Pool, names: Names) -> Doorway:
    """Put it together."""
    patience = settings.lists_patience
    lists, zones = AccessLists(pool), Zones(pool, names, patience)
    proof = SenderProof(names, settings.hostname, patience)
    greylist = Greylist(pool, settings.greylist_terms)
    domains = Memory(partial(greylisting_of, pool))
    waiting = GreylistStep(
        greylist,
        domains,
        proof if settings.greylisting_spares_spf else None,
        is_usual=settings.greylisting,
    )
    return Doorway(
        steps=(
            AccessStep(lists, names, proof, patience),
            ZonesStep(zones, settings.lists_refuse_at),
            waiting,
        ),
        checks=(AccessCheck(lists), ZonesCheck(zones), LinksCheck(zones)),
        history=History(greylist),
        greylist=greylist,
        memories=(lists.memory, zones.memory, domains),
    )
