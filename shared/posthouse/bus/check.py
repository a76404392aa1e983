"""Checking the roads: what is missing and what is different."""

from __future__ import annotations

import asyncio

import aio_pika

from posthouse.bus.connection import CLOSE_SECONDS, CONNECT_SECONDS, Broker, losses_told
from posthouse.bus.declaring import Finding, look_at_all
from posthouse.bus.transport import GatheringConnection

__all__ = ["Finding", "check", "declare"]

CHECK_SECONDS = 30.0


async def check(broker_url: str) -> list[Finding]:
    """Return what is wrong with the roads; empty if all is well. Creates nothing that is missing.

    Raises:
        Unavailable: If the broker does not answer.
    """
    with losses_told("roads not checked"):
        async with asyncio.timeout(CHECK_SECONDS):
            connection = await aio_pika.connect(
                broker_url, timeout=CONNECT_SECONDS, connection_class=GatheringConnection
            )
            try:
                return await look_at_all(connection)
            finally:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()


async def declare(broker: Broker) -> list[Finding]:
    """Declare all roads; return what the broker refused.

    Raises:
        Unavailable: If the broker does not answer.
    """
    return await broker.declare()
