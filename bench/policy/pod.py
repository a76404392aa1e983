"""The pod that is asked: set up, started again with other settings, its questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias, cast
from uuid import UUID

import httpx

from bench.ours import Posthouse
from bench.policy import letters
from bench.policy.asking import pinned
from bench.system import Unfit
from onemachine.ports import LOOPBACK
from posthouse.bus.ask import Asker
from posthouse.mail.admission import RcptQuestion, Verdict
from posthouse.mail.content import ContentQuestion, ContentVerdict

GREY = "grey.test"  # a domain that is greylisted
BENCH = "bench.test"
RULE_SET = "bench"
LESSONS = 250  # of each kind: enough to judge by
PATIENCE_SECONDS = 30.0
ASKED_SECONDS = 30.0
SETTINGS: Mapping[str, str] = {
    "POSTHOUSE_GREYLISTING_DELAY_SECONDS": "1",
    "POSTHOUSE_GREYLISTING_SUCCESSES": "0",
    "POSTHOUSE_GREYLISTING_SPARES_SPF": "false",
}
PORTION = 1000  # entries a request
SENDERS = 50  # known to the greylist, each for each recipient that is asked for

Answer: TypeAlias = Verdict | ContentVerdict


@dataclass(slots=True)
class Pod:
    """Policy of a running Posthouse.

    Attributes:
        system: Posthouse.
        asker: Asks the pod.
    """

    system: Posthouse
    asker: Asker[Answer]
    _api: httpx.AsyncClient = field(repr=False)
    _has_rules: bool = field(default=False, init=False)

    @property
    def pid(self) -> int:
        """Its process, which changes with each start."""
        return self.system.processes["policy"]

    async def restart(self, settings: Mapping[str, str]) -> None:
        """Start it again with other ``settings``, on one core."""
        stack = self.system.stack
        service = stack.service("policy")
        await stack.halt(service)
        service.env = {**service.env, **settings}
        await stack.resume(service)
        await _until(service.trouble, lambda trouble: trouble is None)
        pinned(self.pid)

    async def fill(self, count: int) -> None:
        """Give it so many rules, and no others; return when it has them."""
        path = f"/policy/rule-sets/{RULE_SET}"
        await self._put(path, content=letters.rules(count).encode())
        if not self._has_rules:  # each change is read anew
            await self._put(f"{path}/state", json={"state": "live"})
            self._has_rules = True
        pod = self.system.stack.service("policy").health_port
        wanted = f'posthouse_policy_rules{{state="run"}} {count}.0'
        await _until(lambda: _metrics(pod), lambda text: wanted in text)

    async def write(self, count: int) -> None:
        """Write so many entries of allow and deny lists: of senders, and of clients."""
        for at in range(0, count, PORTION):
            some = [_entry(n) for n in range(at, min(at + PORTION, count))]
            answer = await self._api.post("/policy/access", json={"entries": some})
            answer.raise_for_status()

    async def teach(self) -> None:
        """Let it learn letters of both kinds, and greylist mail to `GREY`."""
        for kind in ("spam", "ham"):
            for at in range(0, LESSONS, 50):
                messages = letters.lessons(LESSONS, kind)[at : at + 50]
                answer = await self._api.post(
                    "/policy/bayes/lessons", json={"kind": kind, "messages": messages}
                )
                answer.raise_for_status()
        (await self._api.post("/domains", json={"domain": GREY})).raise_for_status()
        account = {"address": f"u000@{GREY}", "password": "unused-by-anybody"}
        (await self._api.post("/accounts", json=account)).raise_for_status()
        await self._put(f"/policy/greylist/domains/{GREY}", json={"enabled": True})

    async def introduce(self) -> None:
        """Make the senders known to the greylist."""
        for n in range(SENDERS):
            await self.rcpt(n, f"u000@{GREY}")
        for n in range(SENDERS):

            async def known(n: int = n) -> Verdict:
                return await self.rcpt(n, f"u000@{GREY}")

            await _until(known, lambda verdict: verdict.accepts)

    async def rcpt(self, n: int, recipient: str) -> Verdict:
        """Ask about a recipient, for a stranger."""
        question = RcptQuestion(
            recipient=recipient,
            sender=f"anna+{n % SENDERS}@{letters.DOMAIN}",
            client=letters.CLIENT,
            helo=f"mx.{letters.DOMAIN}",
        )
        return cast("Verdict", await self.asker.ask(question))

    async def content(self, n: int, ident: UUID, octets: bytes) -> ContentVerdict:
        """Ask about a message of a stranger."""
        question = ContentQuestion(
            id=ident,
            hostname="mail.bench.test",
            client=letters.CLIENT,
            hello=f"mx.{letters.DOMAIN}",
            sender=f"anna+{n % SENDERS}@{letters.DOMAIN}",
            recipients=(f"u000@{GREY}",),
            size=len(octets),
            octets=octets,
        )
        return cast("ContentVerdict", await self.asker.ask(question))

    async def _put(self, path: str, **what: Any) -> None:  # noqa: ANN401 - httpx's own
        (await self._api.put(path, **what)).raise_for_status()


def _entry(n: int) -> dict[str, str]:
    if n % 2:
        return {"kind": "sender", "key": f"s{n}.denied.test", "action": "deny"}
    return {"kind": "client", "key": f"198.18.{n >> 8}.{n & 255}/32", "action": "deny"}


@asynccontextmanager
async def pod_of(system: Posthouse) -> AsyncIterator[Pod]:
    """Connect to the pod of ``system``."""
    stack = system.stack
    port = stack.service("policy").env["POSTHOUSE_POLICY_PORT"]
    answers = cast("type[Answer]", Answer)
    api = httpx.AsyncClient(
        base_url=f"http://{LOOPBACK}:{stack.options.ports['POSTMASTER_PORT']}/api/v1",
        headers={"Authorization": f"Bearer {stack.keys.api_token}"},
        timeout=PATIENCE_SECONDS,
    )
    deadline = timedelta(seconds=ASKED_SECONDS)
    async with api, Asker([f"{LOOPBACK}:{port}"], deadline, answers) as asker:
        yield Pod(system, asker, api)


async def _metrics(port: int) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{LOOPBACK}:{port}/metrics")).text


async def _until(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so(seen := await look()):
        if time.monotonic() > until:
            raise Unfit(f"it does not come: {str(seen)[-200:]}")
        await asyncio.sleep(0.1)


def users(count: int) -> Sequence[str]:
    """Return the accounts of the bench."""
    return [f"u{number:03}@{BENCH}" for number in range(count)]
