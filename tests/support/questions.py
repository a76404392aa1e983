"""Questions, answers, and those who ask and answer them in tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest

from onemachine.ports import free_ports
from posthouse.bus.ask import Asker


class Double(msgspec.Struct, frozen=True, tag=True):
    n: int
    padding: bytes = b""


class Name(msgspec.Struct, frozen=True, tag=True):
    pass


class Doubled(msgspec.Struct, frozen=True):
    n: int
    by: str = ""


Question = Double | Name
SOON = timedelta(seconds=5)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def free_port() -> int:
    return free_ports(1)[0]


def answerer(name: str) -> Callable[[Question], Awaitable[Doubled]]:
    async def answer(question: Question) -> Doubled:
        return Doubled(n=2 * question.n if isinstance(question, Double) else 0, by=name)

    return answer


@asynccontextmanager
async def asking(*ports: int, deadline: timedelta = SOON) -> AsyncIterator[Asker[Doubled]]:
    endpoints = [f"127.0.0.1:{port}" for port in ports]
    async with Asker(endpoints, deadline, Doubled) as asker:
        yield asker


async def until_both_answer(asker: Asker[Doubled]) -> None:
    heard: set[str] = set()
    for _ in range(500):
        heard.add((await asker.ask(Double(1))).by)
        if heard == {"a", "b"}:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"only {heard} answered")
