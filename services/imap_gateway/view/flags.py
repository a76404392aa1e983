r"""Flags: system flags as bits, keywords as numbers (RFC 3501 §2.3.2).

``\Recent`` is no bit: it belongs to a session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = 1, 2, 4, 8, 16
_NAMES = ((ANSWERED, "\\Answered"), (FLAGGED, "\\Flagged"), (DELETED, "\\Deleted"),
          (SEEN, "\\Seen"), (DRAFT, "\\Draft"))  # fmt: skip
_BITS = {name.upper(): bit for bit, name in _NAMES}
RECENT = b"\\Recent"
ALL_BITS = 31

# Every combination as it goes on the wire: most messages have no keywords.
TABLE: tuple[bytes, ...] = tuple(
    " ".join(name for bit, name in _NAMES if flags & bit).encode() for flags in range(ALL_BITS + 1)
)

RECENT_TABLE: tuple[bytes, ...] = tuple(
    flags + b" " + RECENT if flags else RECENT for flags in TABLE
)


def split(names: Iterable[str]) -> tuple[int, tuple[str, ...]]:
    """Return the bits of the system flags among ``names``, and the keywords."""
    bits, words = 0, []
    for name in names:
        bit = _BITS.get(name.upper())
        if bit is None:
            words.append(name)
        bits |= bit or 0
    return bits, tuple(words)


class Keywords:
    """The keywords of an account; names differ by case in nothing (RFC 3501 §2.3.2).

    Attributes:
        names: Name by number, as first written.
    """

    __slots__ = ("_numbers", "names")

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.names = {number: name for name, number in numbers.items()}
        self._numbers = {name.lower(): number for name, number in numbers.items()}

    def number(self, name: str) -> int | None:
        """Return the number of a keyword, None if the account never had it."""
        return self._numbers.get(name.lower())

    def knows(self, numbers: Iterable[int]) -> bool:
        """True if all ``numbers`` have names here."""
        return all(number in self.names for number in numbers)

    def all_names(self) -> list[str]:
        """Return all names in the order in which they were first used."""
        return [self.names[number] for number in sorted(self.names)]

    def text(self, flags: int, numbers: Sequence[int], *, is_recent: bool) -> bytes:
        """Return one message's flags as they go between the parentheses."""
        parts = [TABLE[flags & ALL_BITS]] if flags & ALL_BITS else []
        parts += [self.names[number].encode() for number in numbers if number in self.names]
        return b" ".join([*parts, RECENT] if is_recent else parts)


NO_KEYWORDS = Keywords({})  # shared: thousands who idle have none
