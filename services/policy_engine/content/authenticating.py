"""Authentication of the sender: SPF, DKIM, ARC, DMARC and the client's name, asked at the same time.

Nobody who answers in time is no verdict: what is not known then is ``temperror``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias, TypeVar

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from posthouse.authenticity.arc import Arc, doubtful, read_chain, validate
from posthouse.authenticity.arc.vouching import voucher, waits_for
from posthouse.authenticity.dkim import Dkim, Signature, digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.bodies import Canon, Digest
from posthouse.authenticity.dkim.signature import Broken
from posthouse.authenticity.dmarc import Dmarc, evaluate
from posthouse.authenticity.iprev import IpRev, check_reverse
from posthouse.authenticity.names import Names
from posthouse.authenticity.spf import Spf, check_host

T = TypeVar("T")
Believed: TypeAlias = Callable[[frozenset[str]], Awaitable[frozenset[str]]]

PERCENT = 100
IN_THREAD_OCTETS = 256 * 1024  # a larger body is hashed in a thread
TOO_LATE = "no answer in time"
HIDDEN = Dmarc(result="permerror", disposition="quarantine", why="From cannot be read")


async def nobody(_: frozenset[str]) -> frozenset[str]:
    """Believe no sealer."""
    return frozenset()


class Authenticating:
    """Finds out whose mail it is."""

    def __init__(
        self,
        names: Names,
        hostname: str,
        patience: timedelta,
        believed: Believed = nobody,
    ) -> None:
        """Ask ``names``, for at most ``patience``; we are ``hostname``, and believe some sealers."""
        self._believed = believed
        self._names = names
        self._hostname = hostname
        self._patience = patience.total_seconds()

    async def __call__(self, case: Case) -> Authenticated:
        """Return what could be proved of ``case``; of mail of this house nothing is asked.

        Raises `Unavailable` if it cannot be said whom we believe, and that matters.
        """
        if case.is_trusted:
            return Authenticated(auth=case.auth)
        if not case.knows_client:
            signatures, arc = await self._signatures(case)
            return Authenticated(signatures=signatures, arc=arc)
        async with asyncio.TaskGroup() as group:
            spf = group.create_task(self._spf(case, case.sender.rpartition("@")[2] or case.hello))
            hello = group.create_task(self._spf(case, case.hello)) if case.sender else spf
            signed = group.create_task(self._signatures(case))
            reverse = group.create_task(
                self._in_time(
                    check_reverse(self._names, case.client), IpRev(result="temperror", why=TOO_LATE)
                )
            )
        signatures, arc = signed.result()
        # The same message draws the same lot, however often it is judged (RFC 7489 §6.6.4).
        lot = random.Random(case.id.int).randrange(PERCENT)  # noqa: S311 - a sample
        dmarc = HIDDEN
        if not case.hides_author:
            dmarc = await self._in_time(
                evaluate(self._names, case.author_domains, spf.result(), signatures, lot),
                Dmarc(result="temperror", why=TOO_LATE),
            )
        vouched, awaited = await self._sealers(arc, dmarc)
        return Authenticated(
            spf=spf.result(),
            spf_hello=hello.result(),
            signatures=signatures,
            dmarc=dmarc,
            arc=arc,
            vouched=vouched,
            awaited=awaited,
            reverse=reverse.result(),
        )

    async def _sealers(self, arc: Arc, dmarc: Dmarc) -> tuple[str, str]:
        """Return who vouches, and who might; whom we believe is asked only where it matters."""
        sealers = frozenset(arc.domains) | arc.doubted
        if dmarc.result != "fail" or not sealers:
            return "", ""
        trusted = await self._believed(sealers)
        awaited = waits_for(arc, trusted) if dmarc.disposition != "none" else ""
        return voucher(arc, dmarc.domain, trusted), awaited

    async def _spf(self, case: Case, domain: str) -> Spf:
        is_greeting = domain == case.hello and not case.sender
        return await self._in_time(
            check_host(
                self._names,
                case.client,
                domain.lower(),
                sender=f"postmaster@{domain}" if is_greeting else case.sender,
                hello=case.hello,
                receiver=self._hostname,
            ),
            Spf(result="temperror", domain=domain, why=TOO_LATE),
        )

    async def _signatures(self, case: Case) -> tuple[tuple[Dkim, ...], Arc]:
        found, chain = signatures_in(case.header), read_chain(case.header)
        canons = {each.body_canon for each in found if isinstance(each, Signature)}
        digests = await self._digests(
            case, canons | {each.message.body_canon for each in chain.sets}
        )
        asked = validate(self._names, case.header, chain, digests)
        async with asyncio.TaskGroup() as group:
            arc = group.create_task(self._in_time(asked, doubtful(chain, why=TOO_LATE)))
            each = [group.create_task(self._signature(case, one, digests)) for one in found]
        return tuple([task.result() for task in each]), arc.result()

    async def _signature(
        self, case: Case, signature: Signature | Broken, digests: Mapping[Canon, Digest]
    ) -> Dkim:
        """Verify one: a signature whose key nobody tells holds up no other."""
        late = Dkim(result="temperror", why=TOO_LATE)
        if isinstance(signature, Signature):
            late = replace(late, domain=signature.domain, selector=signature.selector)
        asked = verify(self._names, case.header, [signature], digests)
        (found,) = await self._in_time(asked, (late,))
        return found

    @staticmethod
    async def _digests(case: Case, canons: set[Canon]) -> Mapping[Canon, Digest]:
        if not case.is_whole:
            return case.digests
        if len(case.octets) > IN_THREAD_OCTETS:
            return await asyncio.to_thread(digest_bodies, [case.body], canons)
        return digest_bodies([case.body], canons)

    async def _in_time(self, asked: Awaitable[T], otherwise: T) -> T:
        try:
            async with asyncio.timeout(self._patience):
                return await asked
        except TimeoutError:
            return otherwise
