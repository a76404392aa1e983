"""TLS with servers outside: what we demand, what others publish, how sessions went."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from posthouse.mail.tls_words import Level, TlsPolicy
from posthouse.storage.directory import tls_policies as directory
from posthouse.storage.received_reports import TLS_RECEIVED
from posthouse.storage.sts_policies import StsRow, sts_rows
from posthouse.storage.tls_results import TLS_DAYS, Key, Result, list_results
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import Body, DomainName, Limit, page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid
from postmaster.api.report_days import NO_KEY, ReceivedQuery, day_of, received_page, sent_page

MAX_TEXT = 255
KEY_PARTS = 7

router = APIRouter(prefix="/tls", tags=["tls"])

Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class PolicyBody(Body):
    """What sessions for a domain must be like.

    ``names`` are the servers that it may have, ``pins`` SHA-256 fingerprints of certificates or keys,
    ``certificate`` shows ours to who asks for it.
    """

    level: Level
    names: Annotated[tuple[Name, ...], Field(max_length=directory.MAX_NAMES)] = ()
    pins: Annotated[tuple[Name, ...], Field(max_length=directory.MAX_PINS)] = ()
    certificate: bool = False


@router.get("/policies")
async def list_policies(means: Means) -> dict[str, Any]:
    """Return what is demanded; the entries are few."""
    found = await directory.tls_policies(means.pool)
    return {"items": [_policy(policy) for policy in found], "next": None}


@router.put("/policies/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def set_policy(domain: str, body: PolicyBody, means: Means, actor: Actor) -> None:
    """Demand something of a domain's servers, or of a next hop's.

    ``.example.org`` is all below example.org, ``*`` all that have nothing else.
    """
    policy = TlsPolicy(
        domain=domain.lower(),
        level=body.level,
        names=body.names,
        pins=body.pins,
        certificate=body.certificate,
    )
    async with audited(means.pool, actor, "tls set", policy.domain, _words(policy)) as tx:
        await directory.set_tls_policy(tx, policy)


@router.delete("/policies/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def remove_policy(domain: str, means: Means, actor: Actor) -> None:
    """Demand nothing of its own from a domain's servers any more."""
    async with audited(means.pool, actor, "tls remove", domain.lower()) as tx:
        await directory.remove_tls_policy(tx, domain)


@router.get("/known")
async def list_known(
    means: Means, domain: DomainName | None = None, after: str = "", limit: Limit = 100
) -> dict[str, Any]:
    """Return the MTA-STS policies of others that were fetched, or why they could not be."""
    found = await sts_rows(means.pool, after, limit, domain=domain)
    return page(found, limit, _known, lambda row: row.domain)


@router.get("/results")
async def list_tls_results(
    means: Means,
    domain: DomainName | None = None,
    day: date | None = None,
    after: str = "",
    limit: Limit = 100,
    *,
    failures: bool = False,
) -> dict[str, Any]:
    """Return how sessions went, by UTC day and policy domain (RFC 8460 §4.3)."""
    wanted = {"domain": domain, "day": day, "failures": failures}
    found = await list_results(means.pool, _key(after), limit, wanted)
    return page(found, limit, _result, lambda result: "|".join(map(str, result.key)))


@router.get("/reports")
async def list_reports(asked: Annotated[ReceivedQuery, Query()], means: Means) -> dict[str, Any]:
    """Return what others reported on their sessions with our servers; ``rows``: by failure."""
    return await received_page(
        means, TLS_RECEIVED, asked, lambda report: {"sessions": report.total}
    )


@router.get("/sent")
async def list_sent(
    means: Means, domain: DomainName | None = None, after: str = "", limit: Limit = 100
) -> dict[str, Any]:
    """Return what became of our reports to others."""
    return await sent_page(means, TLS_DAYS, domain, after, limit)


def _key(after: str) -> Key:
    if not after:
        return (date.min, "", "", "", "", "", "")
    day, *rest = after.split("|")
    rest += [""] * (KEY_PARTS - 1 - len(rest))
    try:
        domain, kind, failure, host, address, source = rest
        return (day_of(day), domain, kind, failure, host, address, source)
    except ValueError as wrong:
        raise invalid(NO_KEY) from wrong


def _words(policy: TlsPolicy) -> str:
    """Return a policy as one would type it."""
    words = [policy.level, *(f"--server {name}" for name in policy.names)]
    words += [f"--pin {pin}" for pin in policy.pins]
    return " ".join([*words, "--certificate"] if policy.certificate else words)


def _policy(policy: TlsPolicy) -> dict[str, Any]:
    return {
        "domain": policy.domain,
        "level": policy.level,
        "names": list(policy.names),
        "pins": list(policy.pins),
        "certificate": policy.certificate,
    }


def _known(row: StsRow) -> dict[str, Any]:
    return {
        "domain": row.domain,
        "mode": row.mode,
        "mx": list(row.mx),
        "id": row.id,
        "fetched": row.fetched,
        "until": row.fetched and row.fetched + row.max_age,
        "tried": row.tried,
        "fault": row.fault,
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "day": result.day,
        "domain": result.domain,
        "policy": result.kind,
        "sessions": result.sessions,
        "failure": result.failure,
        "host": result.host,
        "address": result.address,
        "source": result.source,
        "why": result.why,
    }
