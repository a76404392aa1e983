"""Finding MTA-STS policies (RFC 8461 §3, §5.1).

    domain ─▶ remembered here? ─▶ TXT _mta-sts ─▶ known in PostgreSQL? ─▶ new, or a day old? GET

A policy that was fetched once counts until its own end, whatever DNS and the web server say by then:
who can keep those from us must not be able to take it away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Protocol, cast

from delivery_remote.security.memory import Memory
from delivery_remote.security.proofs import Policy
from delivery_remote.security.sts import (
    MAX_POLICY_OCTETS,
    BadPolicy,
    Known,
    Mode,
    StsPolicy,
    parse_policy,
    record_id,
    should_fetch,
)
from posthouse.mail.answers import Found
from posthouse.mail.tls_words import Failure, Fault
from posthouse.resolver import Resolver
from posthouse.runtime.web import Page, WebFailure
from posthouse.storage.pool import Pool
from posthouse.storage.sts_policies import StsRow, keep_sts, note_sts_failure, sts_row
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

REMEMBERED = timedelta(minutes=1)  # so long a change is not seen
TEXT = "text/plain"  # RFC 8461 §3.3: users of a web server must not be able to set a policy

log = get_logger()
_fetches = counter("posthouse_remote_sts_fetches_total", "Fetches of MTA-STS policies", "result")


class Fetching(Protocol):
    """What this room needs of the web."""

    async def get(self, url: str, most: int) -> Page:
        """Return what is at ``url``, at most so many octets; raise `WebFailure`."""
        ...


Complaint = Callable[[Policy, Fault], None]


class StsPolicies:
    """The policies of others."""

    def __init__(
        self,
        pool: Pool,
        resolver: Resolver,
        web: Fetching,
        complain: Complaint,
        remembered: timedelta = REMEMBERED,
    ) -> None:
        """Tell ``complain`` of what could not be fetched (RFC 8460 §4.3.2.2)."""
        self._pool = pool
        self._resolver = resolver
        self._web = web
        self._complain = complain
        self._memory: Memory[StsPolicy | None] = Memory(remembered)

    async def of(self, domain: str) -> StsPolicy | None:
        """Return the policy of ``domain`` that counts now.

        Raises:
            Unavailable: PostgreSQL does not answer; there may be a policy.
        """
        return await self._memory.get(domain, lambda: self._look(domain))

    async def _look(self, domain: str) -> StsPolicy | None:
        answer = await self._resolver.txt(f"_mta-sts.{domain}")
        ident = record_id(answer.records) if isinstance(answer, Found) else None
        row = await sts_row(self._pool, domain)
        known = _known(row) if row else None
        if ident is not None and should_fetch(known, ident, datetime.now(UTC)):
            fetched = await self._fetch(domain, ident)
            if fetched is not None:
                return fetched
        return known.valid(datetime.now(UTC)) if known else None

    async def _fetch(self, domain: str, ident: str) -> StsPolicy | None:
        now = datetime.now(UTC)
        row = StsRow(domain=domain, tried=now, tried_id=ident)
        found = await self._asked(domain)
        if isinstance(found, Fault):
            _fetches.labels(found.failure.value).inc()
            log.info("MTA-STS policy not fetched", policy_domain=domain, why=str(found))
            self._complain(Policy(kind="sts", domain=domain), found)
            await note_sts_failure(self._pool, replace(row, fault=str(found)))
            return None
        _fetches.labels("fetched").inc()
        log.info("MTA-STS policy fetched", policy_domain=domain, mode=found.mode, id=ident)
        row = replace(
            row, id=ident, mode=found.mode, mx=found.mx, max_age=found.max_age, fetched=now
        )
        await keep_sts(self._pool, row)
        return found

    async def _asked(self, domain: str) -> StsPolicy | Fault:
        """Ask the web server of ``domain`` (RFC 8461 §3.3)."""
        url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
        try:
            page = await self._web.get(url, MAX_POLICY_OCTETS)
        except WebFailure as failure:
            kind = Failure.STS_WEBPKI if failure.is_certificate else Failure.STS_FETCH
            return Fault(kind, str(failure))
        if page.status != HTTPStatus.OK:  # redirects are not followed
            return Fault(Failure.STS_FETCH, f"{url} answered {page.status}")
        if page.media_type != TEXT:
            return Fault(Failure.STS_INVALID, f"the media type is {page.media_type}, not {TEXT}")
        try:
            return parse_policy(page.octets)
        except BadPolicy as wrong:
            return Fault(Failure.STS_INVALID, str(wrong))


def _known(row: StsRow) -> Known:
    policy = None
    if row.fetched is not None:
        policy = StsPolicy(mode=cast(Mode, row.mode), mx=row.mx, max_age=row.max_age)
    return Known(
        id=row.id, policy=policy, fetched=row.fetched, tried=row.tried, tried_id=row.tried_id
    )
