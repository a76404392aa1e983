"""Waiting for a server by asking it, not by the clock."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator

import httpx

from onemachine.children import Child, Registry, last_words

ASK_EVERY_SECONDS = 0.2  # of each of seven services that also want the processor

# Given to every client, used by none: each would load the certificates of the world for itself,
# and that cost more than the start of some servers.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class NotReady(Exception):
    """A server did not come up: it ended, or it kept failing our question."""


def loopback_client(timeout: float, auth: tuple[str, str] | None = None) -> httpx.AsyncClient:
    """Return a client for plain HTTP on this machine: no TLS, no proxy; cheap to make."""
    return httpx.AsyncClient(auth=auth, timeout=timeout, verify=NO_TLS, trust_env=False)


async def wait_ready(
    child: Child,
    registry: Registry,
    question: Callable[[], Awaitable[str | None]],
    within_seconds: float = 60.0,
) -> None:
    """Ask ``question`` until it answers ``None``; its text says what is not ready yet.

    Raises:
        NotReady: with the end of the child's log.
    """
    name, answer = child.command.name, "it was not asked"
    loop = asyncio.get_running_loop()
    until = loop.time() + within_seconds
    while loop.time() < until:
        if not child.alive:
            raise NotReady(f"{name} ended:\n{last_words(registry, name)}")
        try:
            async with asyncio.timeout(until - loop.time()):
                found = await question()
        except TimeoutError:
            break
        if found is None:
            return
        answer = found
        await asyncio.sleep(ASK_EVERY_SECONDS)
    raise NotReady(
        f"{name} was not ready within {within_seconds:.0f} s ({answer}):\n"
        f"{last_words(registry, name)}"
    )


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield what is in a group of exceptions and in the groups within it."""
    for problem in group.exceptions:
        if isinstance(problem, BaseExceptionGroup):
            yield from leaves(problem)
        else:
            yield problem
