"""A door with lists and greylisting, on a real directory: who comes, and what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import Any

from pydantic import SecretStr

from policy_engine.doorway import Doorway, open_doorway
from policy_engine.enquiries import Enquiries, Memory, Networks
from policy_engine.settings import PolicySettings
from policy_engine.srs import Rewriter
from posthouse.authenticity.names import Names
from posthouse.mail.admission import RcptQuestion
from posthouse.storage import directory
from posthouse.storage.directory import Network
from posthouse.storage.directory.senders import resolve_senders
from posthouse.storage.pool import Pool
from support.routing import RETURNS

ANNA, EVE = "anna@example.test", "eve@far.test"
CLIENT = "203.0.113.1"
OURS = "192.0.2.1"


def settings(**given: object) -> PolicySettings:
    """Settings of policy with what matters here."""
    return PolicySettings.model_validate(
        {
            "database_url": SecretStr("postgresql://nobody@localhost/none"),
            "broker_url": SecretStr("amqp://localhost"),
            "store": "disk:/nowhere",
            "hostname": "mx.example.test",
            **given,
        }
    )


@dataclass(kw_only=True)
class Door:
    """One pod."""

    enquiries: Enquiries
    doorway: Doorway

    async def says(
        self,
        recipient: str = ANNA,
        sender: str = EVE,
        *,
        client: str = CLIENT,
        hello: str = "",
        **more: Any,  # noqa: ANN401 - other fields of the question
    ) -> tuple[int, str]:
        """Return code and rule of the answer to RCPT."""
        asked = RcptQuestion(recipient=recipient, sender=sender, client=client, helo=hello, **more)
        verdict = await self.enquiries.answer(asked)
        return verdict.code, verdict.rule


@asynccontextmanager
async def open_door(pool: Pool, names: Names, **given: object) -> AsyncIterator[Door]:
    """Yield one pod's door; 192.0.2.0/24 may relay."""
    doorway = open_doorway(settings(**given), pool, names)
    enquiries = Enquiries(
        memory=Memory(partial(directory.resolve, pool)),
        lent=Memory(partial(directory.lent, pool)),
        networks=Networks(pool, [Network(network=ip_network("192.0.2.0/24"))]),
        rewriter=Rewriter(b"0123456789abcdef"),
        returns=RETURNS,
        senders=Memory(partial(resolve_senders, pool)),
        has_postmaster=True,
        steps=doorway.steps,
    )
    async with asyncio.TaskGroup() as group:
        working = [group.create_task(each.work()) for each in (doorway, enquiries.memory)]
        yield Door(enquiries=enquiries, doorway=doorway)
        for each in working:
            each.cancel()
