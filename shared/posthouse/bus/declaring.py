"""Declaring and checking the topology on a connection.

A declaration with other arguments than the existing queue's closes the channel
(PRECONDITION_FAILED); it is told by name, and a new channel goes on with the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed

from posthouse.bus.topology import EXCHANGES, QUEUES, Exchange, Queue

_ALL: tuple[Exchange | Queue, ...] = (*EXCHANGES, *QUEUES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about the roads that is not as it should be.

    Attributes:
        name: The queue or exchange.
        problem: What is wrong, in words, with what to do.
    """

    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


async def declare_all(connection: AbstractConnection) -> list[Finding]:
    """Declare every exchange and queue, targets first; return what the broker refused.

    Raises:
        AMQPError: If the connection is lost.
    """
    return await _go_through(connection, passive=False)


async def look_at_all(connection: AbstractConnection) -> list[Finding]:
    """Return what is missing or different, and change nothing.

    Raises:
        AMQPError: If the connection is lost.
    """
    missing = await _go_through(connection, passive=True)
    absent = {finding.name for finding in missing}
    # Declaring what exists with our arguments changes nothing and compares them.
    different = await _go_through(connection, passive=False, leave_out=absent)
    return missing + different


async def _go_through(
    connection: AbstractConnection,
    *,
    passive: bool,
    leave_out: frozenset[str] | set[str] = frozenset(),
) -> list[Finding]:
    findings = []
    channel: AbstractChannel | None = None
    try:
        for thing in _ALL:
            if thing.name in leave_out:
                continue
            if channel is None or channel.is_closed:
                channel = connection.channel(publisher_confirms=False)
                await channel.initialize()
            try:
                await _declare(channel, thing, passive=passive)
            except (ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed) as error:
                findings.append(Finding(name=thing.name, problem=_in_words(thing, error)))
    finally:
        if channel is not None and not channel.is_closed:
            await channel.close()
    return findings


async def _declare(channel: AbstractChannel, thing: Exchange | Queue, *, passive: bool) -> None:
    if isinstance(thing, Exchange):
        await channel.declare_exchange(thing.name, thing.kind, durable=True, passive=passive)
        return
    queue = await channel.declare_queue(
        thing.name, durable=True, passive=passive, arguments=dict(thing.declaration)
    )
    if not passive:
        await queue.bind(thing.exchange, thing.key)


def _in_words(thing: Exchange | Queue, error: Exception) -> str:
    kind = "exchange" if isinstance(thing, Exchange) else "queue"
    match error:
        case ChannelNotFoundEntity():
            return f"this {kind} is missing; `posthouse broker rebuild` declares it"
        case ChannelPreconditionFailed():
            return (
                f"this {kind} exists with other arguments; delete it when it is empty, then "
                f"`posthouse broker rebuild` ({error})"
            )
        case _:
            return f"this {kind} was refused ({error})"
