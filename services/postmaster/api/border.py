"""What no request may hold, wherever it stands: one rule at the border for every route.

PostgreSQL keeps no NUL in a text, and neither it nor JSON knows half a character (a lone surrogate,
which JSON can smuggle in as an escape). Both would travel through every check of ours that asks
only for a string, and end as a fault of the database.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from postmaster.api.problems import invalid


def is_storable(text: str) -> bool:
    """True if ``text`` can be kept and shown: no NUL, no lone surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def refuse_unstorable(value: object) -> object:
    """Return ``value`` as it is; `ValueError` if a text of it, at any depth, cannot be kept."""
    rest = [value]
    while rest:
        match rest.pop():
            case str() as text if not is_storable(text):
                raise ValueError("holds a NUL or half a character")
            case Mapping() as members:
                rest += [*members.keys(), *members.values()]
            case list() as items:
                rest += items
            case _:
                continue
    return value


async def watch_border(request: Request) -> None:
    """Refuse a path or a query that holds what cannot be kept (422); bodies do it themselves."""
    for where, values in (("path", request.path_params), ("query", request.query_params)):
        try:
            refuse_unstorable(dict(values))
        except ValueError as fault:
            raise invalid(f"The {where} {fault}.") from fault
