"""The words of reports by language: those of the house, and the operator's beside or instead of them.

A file ``<language>.toml`` is one wording; see `posthouse.mail.wording`. Files are read once, at the
start of a service: a wording that cannot be used refuses the start, and `posthouse config check`
tells it before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from posthouse.mail.wording import BadWording, Wording, read_wording

Wordings: TypeAlias = Mapping[str, Wording]

HOUSE = Path(__file__).parent
ENGLISH = "en"


@cache
def wordings_in(folder: Path) -> Wordings:
    """Return the wordings of ``folder`` by their languages, in lower case.

    `BadWording` tells every fault of every file, and that there is none, or no such folder.
    """
    found: dict[str, Wording] = {}
    faults: list[str] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            wording = read_wording(file.read_text(encoding="utf-8"))
        except (BadWording, OSError, UnicodeDecodeError) as wrong:
            faults.append(f"{file.name} {wrong}")
            continue
        if wording.language.lower() != file.stem.lower():
            faults.append(f"{file.name} says that it is {wording.language}")
        found[wording.language.lower()] = wording
    if not found and not faults:
        faults.append(f"no wording in {folder}: name the files like de.toml")
    if faults:
        raise BadWording("; ".join(faults))
    return MappingProxyType(found)


def wordings(folder: Path | None) -> Wordings:
    """Return the wordings of the house, and those of the operator's ``folder`` instead of them."""
    return {**wordings_in(HOUSE), **(wordings_in(folder) if folder else {})}
