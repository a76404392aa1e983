"""Is the author who he says he is, and what does his domain want if not (RFC 7489 §6.6; DMARCbis §5.3)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from posthouse.authenticity.dkim import Dkim
from posthouse.authenticity.dmarc.discovery import Published, Unknown, Walks
from posthouse.authenticity.dmarc.record import Policy
from posthouse.authenticity.names import Names
from posthouse.authenticity.spf import Spf

DmarcResult: TypeAlias = Literal["none", "pass", "fail", "temperror", "permerror"]
MAX_AUTHORS = 4  # domains of one From field; more are no letter's
_MILDER: dict[Policy, Policy] = {"reject": "quarantine", "quarantine": "none", "none": "none"}
_STRICTNESS: dict[Policy, int] = {"none": 0, "quarantine": 1, "reject": 2}
_WEIGHT: dict[DmarcResult, int] = {"none": 0, "pass": 1, "permerror": 2, "temperror": 3, "fail": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dmarc:
    """What was found.

    Attributes:
        result: See RFC 7489 §11.2.
        domain: The author's, of the From field; empty if there is none that counts.
        published: The record that counts, and whose it is.
        policy: What the domain wants of a message that fails, by its record alone.
        disposition: What it wants of this one; ``none`` if it passes, or by pct= and t=.
        by_spf: SPF passed, and its domain belongs to the author's.
        by_dkim: The signature that did.
        why: Of ``none`` and of errors.
    """

    result: DmarcResult
    domain: str = ""
    published: Published | None = None
    policy: Policy = "none"
    disposition: Policy = "none"
    by_spf: bool = False
    by_dkim: Dkim | None = None
    why: str = ""


async def evaluate(
    names: Names, authors: Sequence[str], spf: Spf | None, signatures: Sequence[Dkim], lot: int
) -> Dmarc:
    """Return what the author's domain makes of a message.

    Of authors of several domains each is asked, and the strictest of those that fail counts (§6.6.1):
    a name beside the forged one proves nothing of it. Too many are quarantined unasked.

    Args:
        names: DNS.
        authors: The domains of the From field, lower case, in A-labels.
        spf: Of the reverse path's domain or, where that is null, the greeting's.
        signatures: What became of them.
        lot: From 0 to 99, drawn for this message: pct= is for those below it.
    """
    domains = list(dict.fromkeys(authors))
    if not domains:
        return Dmarc(result="none", why="no author")
    if len(domains) > MAX_AUTHORS:
        why = f"authors of {len(domains)} domains"
        return Dmarc(result="permerror", disposition="quarantine", why=why)
    walks = Walks(names)
    found = [await _evaluated(walks, domain, spf, signatures, lot) for domain in domains]
    return max(found, key=lambda each: (_WEIGHT[each.result], _STRICTNESS[each.disposition]))


async def _evaluated(
    walks: Walks, domain: str, spf: Spf | None, signatures: Sequence[Dkim], lot: int
) -> Dmarc:
    """Return what one domain makes of it."""
    try:
        published = await walks.policy_of(domain)
        if published is None:
            return Dmarc(result="none", domain=domain, why="no record")
        return await _judged(walks, published, domain, spf, signatures, lot)
    except Unknown as trouble:
        return Dmarc(result="temperror", domain=domain, why=str(trouble))


async def _judged(
    walks: Walks,
    published: Published,
    domain: str,
    spf: Spf | None,
    signatures: Sequence[Dkim],
    lot: int,
) -> Dmarc:
    record = published.record
    by_spf = (
        spf is not None
        and spf.result == "pass"
        and await _belongs(walks, record.spf_mode, domain, spf.domain)
    )
    by_dkim = None
    for each in signatures:
        if each.result == "pass" and await _belongs(walks, record.dkim_mode, domain, each.domain):
            by_dkim = each
            break
    policy = await _policy(walks, published, domain)
    is_pass = by_spf or by_dkim is not None
    doubts = [] if is_pass else await _doubts(walks, published, domain, spf, signatures)
    result: DmarcResult = "pass" if is_pass else "temperror" if doubts else "fail"
    return Dmarc(
        result=result,
        domain=domain,
        published=published,
        policy=policy,
        disposition=_disposition(policy, published, lot) if result == "fail" else "none",
        by_spf=by_spf,
        by_dkim=by_dkim,
        why=doubts[0] if doubts else "",
    )


async def _doubts(
    walks: Walks,
    published: Published,
    domain: str,
    spf: Spf | None,
    signatures: Sequence[Dkim],
) -> list[str]:
    """Return why it might pass after all: what nobody could tell of the author's own domains.

    A stranger's silent nameserver is no doubt: forgers have some.
    """
    record = published.record
    unknown: list[tuple[str, Spf | Dkim]] = [(record.dkim_mode, each) for each in signatures]
    if spf is not None:
        unknown.insert(0, (record.spf_mode, spf))
    return [
        each.why
        for mode, each in unknown
        if each.result == "temperror" and await _belongs(walks, mode, domain, each.domain)
    ]


async def _belongs(walks: Walks, mode: str, domain: str, other: str) -> bool:
    """Return True if ``other`` is aligned with the author's domain (RFC 7489 §3.1)."""
    other = other.lower().removesuffix(".")
    return domain == other if mode == "s" else await walks.are_aligned(domain, other)


async def _policy(walks: Walks, published: Published, domain: str) -> Policy:
    """Return p=, sp= or np=, whichever is for ``domain``."""
    record = published.record
    if published.domain == domain:
        return record.policy
    if record.missing != record.subdomains and await walks.is_missing(domain):
        return record.missing
    return record.subdomains


def _disposition(policy: Policy, published: Published, lot: int) -> Policy:
    """Return what is to be done: who is not drawn, or only tested, gets the next milder (§6.6.4)."""
    record = published.record
    return policy if lot < record.percent and not record.is_testing else _MILDER[policy]
