r"""What LIST and LSUB show of the names of mailboxes (RFC 3501 §6.3.8, §6.3.9; RFC 3348; RFC 6154).

Levels above a mailbox need no mailbox themselves: then they are listed as ``\Noselect``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

SEPARATOR = "/"
_INBOX = "INBOX"
_WILD = frozenset("*%")
NO_SELECT = "\\Noselect"
HAS_CHILDREN, HAS_NO_CHILDREN = "\\HasChildren", "\\HasNoChildren"


class Pattern:
    """What names must match: ``*`` is anything, ``%`` anything within a level.

    Takes time in proportion to name and pattern, whatever these are: no backtracking.
    """

    __slots__ = ("_signs",)

    def __init__(self, reference: str, pattern: str) -> None:
        text = reference + pattern
        first = re.split(r"[/*%]", text, maxsplit=1)[0]
        if first.upper() == _INBOX:  # INBOX is itself in any case (RFC 3501 §5.1)
            text = _INBOX + text[len(_INBOX) :]
        self._signs = text

    def matches(self, name: str) -> bool:
        """True if the whole of ``name`` matches."""
        if self._signs == "*":
            return True
        reached = self._with_empty({0})  # how much of the pattern may have been used up
        for character in name:
            after = set()
            for at in reached:
                sign = self._signs[at] if at < len(self._signs) else ""
                if sign == "*" or (sign == "%" and character != SEPARATOR):
                    after.add(at)
                elif sign == character and sign not in _WILD:
                    after.add(at + 1)
            reached = self._with_empty(after)
        return len(self._signs) in reached

    def _with_empty(self, reached: set[int]) -> set[int]:
        """Add the places that are reached when wildcards stand for nothing."""
        found = set(reached)
        for start in reached:
            at = start
            while at < len(self._signs) and self._signs[at] in _WILD:
                at += 1
                found.add(at)
        return found


def levels(names: Iterable[str]) -> dict[str, bool]:
    """Return all names and the levels above them, and whether each has something below."""
    found: dict[str, bool] = {}
    for name in names:
        found.setdefault(name, False)
        while SEPARATOR in name:
            name = name.rpartition(SEPARATOR)[0]  # noqa: PLW2901 - upwards
            found[name] = True
    return found


def listing(mailboxes: Mapping[str, str | None], pattern: Pattern) -> list[tuple[str, list[str]]]:
    """Return names with attributes for LIST; ``mailboxes`` maps names to their special use."""
    shown = []
    for name, has_children in sorted(levels(mailboxes).items(), key=_inbox_first):
        if not pattern.matches(name):
            continue
        attributes = [] if name in mailboxes else [NO_SELECT]
        attributes.append(HAS_CHILDREN if has_children else HAS_NO_CHILDREN)
        special = mailboxes.get(name)
        shown.append((name, [*attributes, special] if special else attributes))
    return shown


def subscribed(
    names: Collection[str], pattern: Pattern, *, is_level_wise: bool
) -> list[tuple[str, list[str]]]:
    r"""Return names with attributes for LSUB.

    Where ``%`` hides subscribed names below a level that is not subscribed itself, the level is
    shown as ``\Noselect`` (RFC 3501 §6.3.9).
    """
    found = levels(names) if is_level_wise else dict.fromkeys(names, False)
    return [
        (name, [] if name in names else [NO_SELECT])
        for name in sorted(found)
        if pattern.matches(name)
    ]


def _inbox_first(entry: tuple[str, bool]) -> tuple[bool, str]:
    return entry[0] != "INBOX", entry[0]
