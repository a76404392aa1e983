"""Running compiled rules over a letter; then metas and points, once it is known what others found."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from posthouse.rules.compiled import Compiled, Group
from posthouse.rules.definitions import Place
from posthouse.rules.letter import Letter
from posthouse.rules.matching import SEEN_OCTETS
from posthouse.rules.rule import Rule

BAYES: Final = "BAYES_"  # so the findings of the classifier begin
MOST_SECONDS: Final = 0.5  # of CPU for one letter; what is left then is not run
MAX_SEEN_CHARACTERS: Final = 200
SLOW_SECONDS: Final = 0.05  # of CPU for one rule
LAP_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A rule that holds.

    Attributes:
        rule: It.
        times: How often, as far as it counts that.
        seen: What was found, for people.
    """

    rule: Rule
    times: int = 1
    seen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of all patterns.

    Attributes:
        hits: By the name of the rule; metas are not among them.
        slow: Rules that took long, with their seconds of CPU.
        left: Names of rules that had no time any more; of them nothing is known.
    """

    hits: Mapping[str, Hit] = field(default_factory=dict)
    slow: tuple[tuple[str, float], ...] = ()
    left: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Points:
    """What a rule found, with its score."""

    hit: Hit
    score: float


def run(compiled: Compiled, letter: Letter, most_seconds: float = MOST_SECONDS) -> Ran:
    """Run all patterns; CPU work, off the loop for large letters.

    One pattern cannot be stopped; it costs time linear in the text, which is bounded, and where it
    was slow it is told by name.
    """
    hits = {
        rule.name: Hit(rule=rule, seen=place.name)
        for rule, place in compiled.existing
        if letter.header(place) is not None
    }
    watch = Stopwatch()
    slow: list[tuple[str, float]] = []
    left: set[str] = set()
    for group in compiled.groups:
        if left or watch.total > most_seconds:
            left.update(rule.name for rule in group.rules)
            continue
        text = text_of(group, letter)
        possible = _possible(group, text)
        watch.lap()
        for at, number in enumerate(possible):
            hit = _hit(group, number, text)
            if hit is not None:
                hits[hit.rule.name] = hit
            if (seconds := watch.lap()) > SLOW_SECONDS:
                slow.append((group.rules[number].name, round(seconds, 3)))
            if watch.total > most_seconds:
                left.update(group.rules[other].name for other in possible[at + 1 :])
                break
    return Ran(hits=hits, slow=tuple(slow), left=frozenset(left))


class Stopwatch:
    """CPU time of this thread, lap by lap. To read it costs more than most laps: those are not read."""

    def __init__(self) -> None:
        self._wall, self._began = time.perf_counter(), time.thread_time()
        self._cpu = self._began

    @property
    def total(self) -> float:
        """Seconds up to the last lap that was read."""
        return self._cpu - self._began

    def lap(self) -> float:
        """Return the seconds since the last lap that was read; 0 where it is not worth a look."""
        wall = time.perf_counter()
        if wall - self._wall < LAP_SECONDS:
            return 0.0
        before, self._cpu, self._wall = self._cpu, time.thread_time(), wall
        return self._cpu - before


def conclude(
    compiled: Compiled, ran: Ran, others: Iterable[str], shadows: Set[str] = frozenset()
) -> Iterator[Points]:
    """Yield what holds and counts, metas included, where ``others`` are what other checks found.

    Of ``shadows``, rules that are only tried out, those that are live know nothing. What would hold
    because a rule had no time does not.
    """
    found = set(others)
    has_bayes = any(name.startswith(BAYES) for name in found)
    scored = [
        Hit(rule=rule, seen="scored so by the rules")
        for name in sorted(found)
        if (rule := compiled.rules.get(name)) is not None and rule.kind == "score"
    ]
    for hit in [*ran.hits.values(), *_metas(compiled, ran, found, shadows), *scored]:
        score = hit.rule.score(has_bayes=has_bayes)
        if score or hit.rule.kind == "score":
            yield Points(hit, score)


def _metas(compiled: Compiled, ran: Ran, found: Set[str], shadows: Set[str]) -> Iterator[Hit]:
    everything = dict.fromkeys(found, 1.0)
    everything.update((name, float(hit.times)) for name, hit in ran.hits.items())
    live = {name: value for name, value in everything.items() if name not in shadows}
    unknown = set(ran.left)
    for meta in compiled.metas:
        name, asked = meta.rule.name, meta.expression.names
        known = everything if name in shadows else live
        if not unknown.isdisjoint(meta.expression.negated):
            unknown.add(name)
            continue
        is_idle = not meta.idle and asked.isdisjoint(known)
        value = 0.0 if is_idle else meta.expression.value(known)
        if value:
            everything[name] = value
            if name not in shadows:
                live[name] = value
            met = " ".join(sorted(each for each in asked if known.get(each)))
            yield Hit(rule=meta.rule, seen=met[:MAX_SEEN_CHARACTERS])


def text_of(group: Group, letter: Letter) -> bytes | None:
    """Return what a group's patterns look at; None for a field that is missing."""
    if isinstance(group.text, Place):
        return letter.header(group.text)
    match group.text:
        case "body":
            return letter.body
        case "rawbody":
            return letter.rawbody
        case "full":
            return letter.full
        case "uri":
            return letter.uri


def _possible(group: Group, text: bytes | None) -> Sequence[int]:
    """Return the numbers of rules that may hold."""
    found = set(group.patterns.possible(text if text is not None else b""))
    return [*found.difference(group.special), *group.special]


def _hit(group: Group, number: int, text: bytes | None) -> Hit | None:
    rule, test = group.rules[number], group.tests[number]
    there = text if text is not None else test.unset.encode()
    seen = group.patterns.hits(number, there, 1 if test.is_negated else rule.max_hits)
    if test.is_negated:
        return None if seen else Hit(rule=rule, seen=_shown(there[:SEEN_OCTETS]))
    return Hit(rule=rule, times=len(seen), seen=_shown(seen[0])) if seen else None


def _shown(octets: bytes) -> str:
    text = octets.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text)
