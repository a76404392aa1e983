"""Where a domain's policy stands, and which domains belong together: the DNS tree walk (DMARCbis §4.10).

The walk asks at most eight names, from the domain upwards. No list of public suffixes is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.authenticity.dmarc.record import Record, is_dmarc, parse
from posthouse.authenticity.names import Names
from posthouse.mail.answers import Empty, Found, Temporary

MAX_QUESTIONS = 8


class Unknown(Exception):
    """Nobody could tell: temperror."""


@dataclass(frozen=True, slots=True)
class Published:
    """A record and the domain that has it."""

    domain: str
    record: Record


class Walks:
    """The walks of one message: no name is asked twice."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._walked: dict[str, tuple[Published, ...]] = {}
        self._known: dict[str, Published | None] = {}

    async def policy_of(self, domain: str) -> Published | None:
        """Return the record that counts for ``domain``: its own, or its organization's.

        Where that has none, it is the public suffix's (RFC 9091). Raises `Unknown`.
        """
        if own := await self._record(domain):
            return own
        found = await self._walk(domain)
        organization = _organization(domain, found)
        by_domain = {each.domain: each for each in found}
        return by_domain.get(organization) or (found[-1] if found else None)

    async def are_aligned(self, domain: str, other: str) -> bool:
        """Return True if both belong to one organization (DMARCbis §4.10.2); raises `Unknown`."""
        if domain == other:
            return True
        one = _organization(domain, await self._walk(domain))
        if not (other == one or other.endswith("." + one)):
            return False  # an organization's domains end in its own
        return one == _organization(other, await self._walk(other))

    async def is_missing(self, domain: str) -> bool:
        """Return True if ``domain`` does not exist: it has neither A, AAAA nor MX (RFC 9091 §2.7)."""
        mx = await self._names.mx(domain)
        answers = (mx, await self._names.hosts(domain, 4), await self._names.hosts(domain, 6))
        return all(isinstance(answer, Empty) for answer in answers)

    async def _walk(self, domain: str) -> tuple[Published, ...]:
        """Return the records from ``domain`` upwards, to the one that ends the walk."""
        if domain in self._walked:
            return self._walked[domain]
        found: list[Published] = []
        for name in _steps(domain):
            published = await self._record(name)
            if published is None:
                continue
            found.append(published)
            is_own_suffix = published.record.boundary == "y" and name == domain
            if published.record.boundary != "u" and not is_own_suffix:
                break
        self._walked[domain] = tuple(found)
        return self._walked[domain]

    async def _record(self, domain: str) -> Published | None:
        if domain in self._known:
            return self._known[domain]
        answer = await self._names.txt(f"_dmarc.{domain}")
        if isinstance(answer, Temporary):
            raise Unknown(answer.why)
        texts = (
            [text for text in answer.records if is_dmarc(text)] if isinstance(answer, Found) else []
        )
        record = parse(texts[0]) if len(texts) == 1 else None  # RFC 7489 §6.6.3 (5)
        self._known[domain] = Published(domain, record) if record else None
        return self._known[domain]


def _steps(domain: str) -> list[str]:
    """Return the names of a walk: the domain, then what is above it, eight in all (§4.10)."""
    labels = domain.split(".")
    above = labels[1:] if len(labels) < MAX_QUESTIONS else labels[-(MAX_QUESTIONS - 1) :]
    return [domain, *(".".join(above[at:]) for at in range(len(above)))]


def _organization(domain: str, found: tuple[Published, ...]) -> str:
    """Return the organizational domain of ``domain`` (DMARCbis §4.10.2)."""
    for each in found:
        if each.record.boundary == "n":
            return each.domain
        if each.record.boundary == "y" and each.domain != domain:
            below = domain.removesuffix("." + each.domain).rpartition(".")[2]
            return f"{below}.{each.domain}"
    return found[-1].domain if found else domain
