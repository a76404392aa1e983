r"""What LIST and LSUB show of the names of mailboxes (RFC 3501 §6.3.8, §6.3.9; RFC 5258).

Levels above a mailbox need no mailbox themselves: then they are listed as ``\Noselect``, to who
speaks RFC 5258 as ``\NonExistent``, and only where a name below them is not listed itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

SEPARATOR = "/"
_INBOX = "INBOX"
_RUN = re.compile(r"[*%]{2,}")  # of wildcards: is as good as one
NO_SELECT, NON_EXISTENT, SUBSCRIBED = "\\Noselect", "\\NonExistent", "\\Subscribed"
HAS_CHILDREN, HAS_NO_CHILDREN = "\\HasChildren", "\\HasNoChildren"


class Pattern:
    """What names must match: ``*`` is anything, ``%`` anything within a level.

    Takes time in proportion to the name, whatever the pattern: no backtracking. Which beginnings of
    the pattern may have been used up so far are the bits of one number.
    """

    __slots__ = ("_anything", "_end", "_is_everything", "_level", "_signs", "_wild")

    def __init__(self, reference: str, pattern: str) -> None:
        text = _RUN.sub(lambda run: "*" if "*" in run[0] else "%", reference + pattern)
        first = re.split(r"[/*%]", text, maxsplit=1)[0]
        if first.upper() == _INBOX:  # INBOX is itself in any case (RFC 3501 §5.1)
            text = _INBOX + text[len(_INBOX) :]
        places: dict[str, int] = {}
        for at, sign in enumerate(text):
            places[sign] = places.get(sign, 0) | 1 << at
        self._is_everything = text == "*"
        self._anything, self._level = places.pop("*", 0), places.pop("%", 0)
        self._wild = self._anything | self._level
        self._signs, self._end = places, 1 << len(text)

    def matches(self, name: str) -> bool:
        """True if the whole of ``name`` matches."""
        if self._is_everything:
            return True
        reached = 1 | (self._wild & 1) << 1  # a wildcard may stand for nothing
        for character in name:
            staying = self._anything if character == SEPARATOR else self._wild
            reached = reached & staying | (reached & self._signs.get(character, 0)) << 1
            if not reached:
                return False
            reached |= (reached & self._wild) << 1
        return bool(reached & self._end)


def ancestors(names: Iterable[str]) -> set[str]:
    """Return all levels above ``names``."""
    found: set[str] = set()
    for name in names:
        at = name.rfind(SEPARATOR)
        while at > 0 and name[:at] not in found:
            found.add(name[:at])
            at = name.rfind(SEPARATOR, 0, at)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A name that LIST may show.

    Attributes:
        exists: There is such a mailbox; else it is only subscribed to.
        is_selectable: If it exists: it may be read, too (RFC 4314 §4, RFC 5819 §2).
        is_subscribed: It is.
        uses: Its special uses.
    """

    exists: bool
    is_selectable: bool = True
    is_subscribed: bool = False
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A name as LIST tells it.

    Attributes:
        name: The name.
        attributes: As on the wire.
        criteria: Those that a name below it meets, for CHILDINFO (RFC 5258 §3.5).
        is_match: The name itself is a mailbox that was asked for: STATUS and such may follow.
    """

    name: str
    attributes: tuple[str, ...]
    criteria: tuple[str, ...] = ()
    is_match: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What LIST asks for, without what is told besides.

    Attributes:
        patterns: Any of which must match.
        is_extended: In the sense of RFC 5258.
        subscribed: Only names that are subscribed to.
        special_use: Only mailboxes with a special use.
        recursive: Also names above those (RECURSIVEMATCH).
        tells_subscribed: Tell which are.
        tells_children: Tell of all which have any (RFC 9051 §6.3.9.5).
    """

    patterns: Sequence[Pattern]
    is_extended: bool = False
    subscribed: bool = False
    special_use: bool = False
    recursive: bool = False
    tells_subscribed: bool = False
    tells_children: bool = False

    @property
    def criteria(self) -> tuple[str, ...]:
        """The names of the conditions."""
        conditions = ((self.subscribed, "SUBSCRIBED"), (self.special_use, "SPECIAL-USE"))
        return tuple(name for is_asked, name in conditions if is_asked)

    def matches(self, name: str) -> bool:
        """True if a pattern matches."""
        return any(pattern.matches(name) for pattern in self.patterns)

    def meets(self, folder: Folder) -> bool:
        """True if the folder meets all conditions; without any, if it exists."""
        if not self.criteria:
            return folder.exists
        return (not self.subscribed or folder.is_subscribed) and (
            not self.special_use or bool(folder.uses)
        )


_MISSING = Folder(exists=False)


def listing(folders: Mapping[str, Folder], choice: Choice) -> list[Shown]:
    """Return what LIST shows (RFC 3501 §6.3.8, RFC 5258 §3)."""
    parents = ancestors(name for name, folder in folders.items() if folder.exists)
    meeting = [name for name, folder in folders.items() if choice.meets(folder)]
    above = ancestors(meeting)
    levels = _levels(choice, meeting, above)
    shown = []
    for name in sorted({*meeting, *levels}, key=_inbox_first):
        if not choice.matches(name):
            continue
        folder = folders.get(name, _MISSING)
        shown.append(
            Shown(
                name=name,
                attributes=attributes(choice, folder, has_children=name in parents),
                criteria=choice.criteria if choice.recursive and name in above else (),
                is_match=folder.exists and choice.meets(folder),
            )
        )
    return shown


def _levels(choice: Choice, meeting: Iterable[str], above: set[str]) -> set[str]:
    """Return the names that are shown for the sake of others below them."""
    if not choice.is_extended:
        return above
    if choice.criteria and not choice.recursive:
        return set()
    return ancestors(name for name in meeting if not choice.matches(name))


def attributes(choice: Choice, folder: Folder, *, has_children: bool) -> tuple[str, ...]:
    """Return what LIST tells of a name (RFC 3501 §7.2.2, RFC 5258 §3)."""
    found = []
    if not folder.exists:
        found.append(NON_EXISTENT if choice.is_extended else NO_SELECT)
    elif not folder.is_selectable:
        found.append(NO_SELECT)
    if folder.exists or has_children or choice.tells_children:
        found.append(HAS_CHILDREN if has_children else HAS_NO_CHILDREN)
    if folder.is_subscribed and (choice.tells_subscribed or choice.subscribed):
        found.append(SUBSCRIBED)
    return (*found, *folder.uses)


def subscribed(
    names: Collection[str], pattern: Pattern, *, is_level_wise: bool
) -> list[tuple[str, tuple[str, ...]]]:
    r"""Return names with attributes for LSUB.

    Where ``%`` hides subscribed names below a level that is not subscribed itself, the level is
    shown as ``\Noselect`` (RFC 3501 §6.3.9).
    """
    found = {*names, *(ancestors(names) if is_level_wise else ())}
    return [
        (name, () if name in names else (NO_SELECT,))
        for name in sorted(found)
        if pattern.matches(name)
    ]


def _inbox_first(name: str) -> tuple[bool, str]:
    return name != "INBOX", name
