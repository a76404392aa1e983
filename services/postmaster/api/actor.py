"""Who asks: the name that the client gives. The token proves that it may; the name is its word."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Header

from postmaster.api.problems import invalid

HEADER = "Posthouse-Operator"
NOBODY = "api"  # who gives no name
MAX_NAME = 100  # characters


def _actor(given: Annotated[str, Header(alias=HEADER)] = NOBODY) -> str:
    if not given.isprintable() or not 0 < len(given) <= MAX_NAME:
        raise invalid(f"{HEADER} is one line of 1 to {MAX_NAME} characters.")
    return given


Actor: TypeAlias = Annotated[str, Depends(_actor)]
