"""Running compiled rules over a letter; then metas and points, once it is known what others found."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Set
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
SLOW_SECONDS: Final = 0.02  # for the rules over one text


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
        is_cut: The time was up before all had run.
    """

    hits: Mapping[str, Hit] = field(default_factory=dict)
    slow: tuple[tuple[str, float], ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """What a rule found, with its score."""

    hit: Hit
    score: float


def run(compiled: Compiled, letter: Letter, most_seconds: float = MOST_SECONDS) -> Ran:
    """Run all patterns; CPU work, off the loop for large letters."""
    began = time.thread_time()
    hits: dict[str, Hit] = {}
    slow: list[tuple[str, float]] = []
    for rule, place in compiled.existing:
        if letter.header(place) is not None:
            hits[rule.name] = Hit(rule=rule, seen=place.name)
    for group in compiled.groups:
        before = time.thread_time()
        if before - began > most_seconds:
            return Ran(hits=hits, slow=tuple(slow), is_cut=True)
        for hit in _hits(group, letter):
            hits[hit.rule.name] = hit
        if time.thread_time() - before > SLOW_SECONDS:
            slow.append(_slowest(group, letter))
    return Ran(hits=hits, slow=tuple(slow))


def conclude(
    compiled: Compiled, ran: Ran, others: Iterable[str], shadows: Set[str] = frozenset()
) -> Iterator[Points]:
    """Yield what holds and counts, metas included, where ``others`` are what other checks found.

    Of ``shadows``, rules that are only tried out, those that are live know nothing.
    """
    found = set(others)
    has_bayes = any(name.startswith(BAYES) for name in found)
    scored = [
        Hit(rule=rule, seen="found by another check")
        for name in sorted(found)
        if (rule := compiled.rules.get(name)) is not None and rule.kind == "score"
    ]
    for hit in [*ran.hits.values(), *_metas(compiled, ran, found, shadows), *scored]:
        score = hit.rule.score(has_bayes=has_bayes)
        if score:
            yield Points(hit, score)


def _metas(compiled: Compiled, ran: Ran, found: Set[str], shadows: Set[str]) -> Iterator[Hit]:
    everything = dict.fromkeys(found, 1.0)
    everything.update((name, float(hit.times)) for name, hit in ran.hits.items())
    live = {name: value for name, value in everything.items() if name not in shadows}
    for meta in compiled.metas:
        name, asked = meta.rule.name, meta.expression.names
        known = everything if name in shadows else live
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


def _hits(group: Group, letter: Letter) -> Iterator[Hit]:
    text = text_of(group, letter)
    there = text if text is not None else b""
    found = set(group.patterns.found(there))
    for number in found.difference(group.special):
        rule = group.rules[number]
        seen = group.patterns.hits(number, there, rule.max_hits)
        if seen:
            yield Hit(rule=rule, times=len(seen), seen=_shown(seen[0]))
    for number in group.special:
        test = group.tests[number]
        looked_at = test.unset.encode() if text is None else there
        is_there = number in found or text is None
        seen = group.patterns.hits(number, looked_at, 1) if is_there else []
        if bool(seen) != test.is_negated:
            shown = seen[0] if seen else looked_at[:SEEN_OCTETS]
            yield Hit(rule=group.rules[number], seen=_shown(shown))


def _slowest(group: Group, letter: Letter) -> tuple[str, float]:
    seconds, number = group.patterns.slowest(text_of(group, letter) or b"")
    return group.rules[number].name, seconds


def _shown(octets: bytes) -> str:
    text = octets.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text)
