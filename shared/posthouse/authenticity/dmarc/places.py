"""Where aggregate reports go (RFC 7489 §6.2, §7.1): the addresses of rua=, and who agreed to take them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from posthouse.authenticity.dmarc.discovery import Unknown, Walks
from posthouse.authenticity.dmarc.record import MAX_URIS, is_dmarc, parse, tags_of
from posthouse.authenticity.names import Names
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.answers import Found, Temporary

_SIZE = re.compile(r"([0-9]{1,15})([kmgt]?)", re.IGNORECASE)
MAX_NAME_CHARACTERS = 253  # RFC 1035 §3.1, as text
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True, slots=True)
class ReportPlace:
    """One of the addresses.

    Attributes:
        address: Of mail.
        max_octets: What it takes; None: anything.
    """

    address: str
    max_octets: int | None = None


async def report_places(names: Names, domain: str) -> tuple[ReportPlace, ...]:
    """Return where reports to ``domain`` go: those that agreed to it (§7.1); raise `Unknown`."""
    answer = await names.txt(f"_dmarc.{domain}")
    if isinstance(answer, Temporary):
        raise Unknown(answer.why)
    texts = [text for text in getattr(answer, "records", ()) if is_dmarc(text)]
    if len(texts) != 1 or parse(texts[0]) is None:
        return ()
    walks, found = Walks(names), list[ReportPlace]()
    for place in places_in(texts[0]):
        host = place.address.rpartition("@")[2].lower()
        if await _are_one(walks, domain, host):
            found.append(place)
        else:
            found += await _agreed(names, domain, host, place)
    return tuple(dict.fromkeys(found))


async def _are_one(walks: Walks, domain: str, host: str) -> bool:
    """True if both belong to one organization, so that nobody need agree."""
    return await walks.are_aligned(domain, host) or await walks.are_aligned(host, domain)


async def _agreed(
    names: Names, domain: str, host: str, place: ReportPlace
) -> Sequence[ReportPlace]:
    """Return ``place``, or what it says instead, if ``host`` takes reports on ``domain``."""
    name = f"{domain}._report._dmarc.{host}"
    if len(name) > MAX_NAME_CHARACTERS:
        return ()  # §7.1 (4): nobody can have agreed
    answer = await names.txt(name)
    if isinstance(answer, Temporary):
        raise Unknown(answer.why)
    texts = [text for text in answer.records if is_dmarc(text)] if isinstance(answer, Found) else []
    if not texts:
        return ()
    instead = [
        each for each in places_in(texts[0]) if each.address.rpartition("@")[2].lower() == host
    ]
    return instead or (place,)  # §7.1 (7): it may name another address of the same host


def places_in(text: str) -> tuple[ReportPlace, ...]:
    """Return the addresses of a record's rua= that mail can go to."""
    uris = tags_of(text).get("rua", "").split(",")[:MAX_URIS]
    return tuple(place for uri in uris if (place := _place(uri.strip())) is not None)


def _place(uri: str) -> ReportPlace | None:
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "mailto":
        return None
    text, mark, size = rest.partition("!")
    try:
        address = str(parse_address(unquote(text.partition("?")[0])))
    except BadAddress:
        return None
    found = _SIZE.fullmatch(size) if mark else None
    if not address.isascii() or (mark and found is None):
        return None
    limit = int(found[1]) * _UNITS[found[2].lower()] if found else None
    return ReportPlace(address, limit)
