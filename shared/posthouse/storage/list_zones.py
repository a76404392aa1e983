"""DNS zones that list good or bad senders (RFC 5782): which are asked, and what they count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.pool import Queries

Subject: TypeAlias = Literal["client", "sender", "hello", "reverse", "author", "link"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
MAX_ZONES = 50  # as many questions for each mail

_PUT = """
    insert into list_zones (zone, asks, weight, codes, title, text, comment)
    values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (zone) do update
       set asks = excluded.asks, weight = excluded.weight, codes = excluded.codes,
           title = excluded.title, text = excluded.text, comment = excluded.comment
"""
_REMOVE = "delete from list_zones where zone = $1"
_LIST = """
    select zone, asks, weight, codes, title, text, comment from list_zones
     where zone > $1 order by zone limit $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One zone.

    Attributes:
        zone: Its domain; with commercial ones it holds the customer's key.
        asks: What it is asked for: the first four at the door, the domains of authors (From, Reply-To)
            and of links when the message is there.
        weight: Points for what it lists; negative ones for a list of good senders.
        codes: Which answers count, and for how much; empty: all, for ``weight``.
        title: What people may know it by; empty: its domain.
        text: What a sender is told; empty: what the zone itself says, or a general text.
        comment: For people.
    """

    zone: str
    asks: tuple[Subject, ...] = ("client",)
    weight: float = 1.0
    codes: str = ""
    title: str = ""
    text: str = ""
    comment: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.title or self.zone


async def put_zone(queries: Queries, zone: Zone) -> None:
    """Ask a zone from now on, or change how."""
    await queries.execute(
        _PUT,
        zone.zone,
        list(zone.asks),
        zone.weight,
        zone.codes,
        zone.title,
        zone.text,
        zone.comment,
    )


async def remove_zone(queries: Queries, zone: str) -> None:
    """Ask it no more; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE, zone):
        raise NoSuchEntry(f"no zone {zone}")


async def zones(queries: Queries, after: str = "", limit: int = MAX_ZONES) -> tuple[Zone, ...]:
    """Return up to ``limit`` zones behind the name ``after``."""
    return tuple(
        Zone(
            zone=row["zone"],
            asks=tuple(row["asks"]),
            weight=row["weight"],
            codes=row["codes"],
            title=row["title"],
            text=row["text"],
            comment=row["comment"],
        )
        for row in await queries.fetch(_LIST, after, limit)
    )
