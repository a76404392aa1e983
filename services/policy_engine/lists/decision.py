"""What entries of allow and deny lists come to. Pure.

The narrower list decides: an account's before its domain's, that before the house's. In one list and
of one kind what fits best counts, an address before its domain, a network before a larger one. Of
several kinds an entry that allows is stronger than one that denies, for it is an exception somebody
made by hand. Points are added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from posthouse.storage.access import Entry, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done.

    Attributes:
        entry: The one that allows or denies; None: none does.
        scores: Those that give points.
    """

    entry: Entry | None = None
    scores: tuple[Entry, ...] = ()

    @property
    def allows(self) -> bool:
        """True if the mail is welcome."""
        return self.entry is not None and self.entry.action == "allow"

    @property
    def denies(self) -> bool:
        """True if it is refused."""
        return self.entry is not None and self.entry.action == "deny"

    @property
    def points(self) -> float:
        """The sum of the points."""
        return sum(each.score for each in self.scores)


NOTHING = Decision()


def decide(entries: Iterable[Entry], keys: Sequence[Key], whose: Sequence[str]) -> Decision:
    """Return what ``entries`` come to.

    Args:
        entries: Those that fit; what needs proof has it.
        keys: What was looked for, of each kind what fits best first.
        whose: The lists, the narrowest first.
    """
    rank = {key: n for n, key in enumerate(keys)}
    best: dict[tuple[str, str], Entry] = {}
    for each in entries:
        place = each.whose, each.kind
        known = best.get(place)
        if known is None or rank[each.kind, each.key] < rank[known.kind, known.key]:
            best[place] = each
    scores = tuple(each for each in best.values() if each.action == "score")
    for one in whose:
        here = [e for e in best.values() if e.whose == one and e.action != "score"]
        if here:
            chosen = next((each for each in here if each.action == "allow"), here[0])
            return Decision(entry=chosen, scores=scores)
    return Decision(scores=scores)
