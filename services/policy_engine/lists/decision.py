"""What entries of allow and deny lists come to. Pure.

The narrower list decides: an account's before its domain's, that before the house's. In one list and
of one kind what fits best counts, an address before its domain, a network before a larger one; if
that is an exception, the list says nothing by that kind. Of several kinds an entry that allows is
stronger than one that refuses, for it is an exception somebody made by hand. Points are added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policy_engine.places import must_be_reached
from policy_engine.rights import read
from posthouse.storage.access import Action, Entry, Key

REFUSING: frozenset[Action] = frozenset({"deny", "defer", "discard"})
STRENGTH: tuple[Action, ...] = ("allow", "deny", "discard", "defer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done.

    Attributes:
        entry: The one that decides: allow, deny, defer or discard; None: none does.
        scores: Those that give points.
    """

    entry: Entry | None = None
    scores: tuple[Entry, ...] = ()

    @property
    def action(self) -> Action | None:
        """What is done; None: nothing."""
        return None if self.entry is None else self.entry.action

    @property
    def points(self) -> float:
        """The sum of the points."""
        return sum(each.score for each in self.scores)


NOTHING = Decision()


def decide(entries: Iterable[Entry], keys: Sequence[Key], whose: Sequence[str]) -> Decision:
    """Return what ``entries`` come to.

    Args:
        entries: Those that fit; what needs proof has it.
        keys: What was looked for, of each kind what fits best first; other entries do not count.
        whose: The lists, the narrowest first.
    """
    rank = {key: n for n, key in enumerate(keys)}
    best: dict[tuple[str, str], Entry] = {}
    for each in entries:
        if (each.kind, each.key) not in rank:
            continue
        place = each.whose, each.kind
        known = best.get(place)
        if known is None or rank[each.kind, each.key] < rank[known.kind, known.key]:
            best[place] = each
    best = {place: each for place, each in best.items() if each.action != "except"}
    scores = tuple(each for each in best.values() if each.action == "score")
    for one in whose:
        here = [e for e in best.values() if e.whose == one and e.action != "score"]
        if here:
            return Decision(entry=min(here, key=_weakness), scores=scores)
    return Decision(scores=scores)


def reachable(entries: Iterable[Entry], recipient: str) -> list[Entry]:
    """Leave out what would keep mail from who must be reached, but for their own lists.

    Postmaster and abuse take mail from anybody (RFC 5321 §4.5.1, RFC 2142 §4): who is refused must
    be able to ask why.
    """
    address = read(recipient)
    if address is None or not must_be_reached(address):
        return list(entries)
    return [
        each
        for each in entries
        if each.action not in REFUSING or each.kind == "recipient" or "@" in each.whose
    ]


def _weakness(entry: Entry) -> int:
    return STRENGTH.index(entry.action)
