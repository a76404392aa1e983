"""Whether a message that is being judged will leave this house for any of its recipients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from policy_engine.content.case import Case
from policy_engine.decisions import Plan
from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.storage.ledger import branches_of

Plans: TypeAlias = Callable[[Sequence[Inbound]], Awaitable[Sequence[Plan]]]


def leaving(plans: Plans) -> Callable[[Case], Awaitable[bool]]:
    """Return what tells, by what routing would do: aliases, forwards and ways included."""

    async def leaves(case: Case) -> bool:
        mail = Inbound(
            id=case.id,
            sender=case.sender,
            size=case.size,
            auth=case.auth,
            recipients=tuple(
                InboundRecipient(n=n, address=to) for n, to in enumerate(case.recipients)
            ),
        )
        [plan] = await plans([mail])
        ways = (branch for decision in plan.decisions for branch in branches_of(decision))
        return any(way.road == "remote" for way in (*ways, *plan.copies))

    return leaves
