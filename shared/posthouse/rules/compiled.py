"""A table of rules, compiled: patterns by what they look at, metas in an order in which each can be computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Final, Literal, TypeAlias

from posthouse.rules.definitions import BY_LINES, Exists, Pattern, Place, read_definition
from posthouse.rules.expressions import Expression, read_expression, turned
from posthouse.rules.matching import Patterns
from posthouse.rules.rule import BadRule, Fault, Rule, fault_of

Text: TypeAlias = Literal["body", "rawbody", "full", "uri"] | Place
TEXTS: Final[tuple[Text, ...]] = ("body", "rawbody", "full", "uri")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Patterns over one text.

    Attributes:
        text: Which.
        rules: Whose they are, in their order.
        tests: What of each is tested.
        patterns: All of them.
    """

    text: Text
    rules: tuple[Rule, ...]
    tests: tuple[Pattern, ...]
    patterns: Patterns
    special: tuple[int, ...]  # those whose answer is another where nothing is found


@dataclass(frozen=True, slots=True)
class Meta:
    """A rule over others; ``idle`` is its value where none of them is found."""

    rule: Rule
    expression: Expression
    idle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What is run.

    Attributes:
        groups: Patterns, by the text that they look at.
        existing: Rules that ask whether a field is there.
        metas: Rules over others, each behind those it asks for.
        rules: All rules by name, those of kind ``score`` included.
        faults: Of rules that are left out.
    """

    groups: tuple[Group, ...] = ()
    existing: tuple[tuple[Rule, Place], ...] = ()
    metas: tuple[Meta, ...] = ()
    rules: Mapping[str, Rule] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)


def compile_rules(rules: Iterable[Rule]) -> Compiled:
    """Compile ``rules``, whose names differ; what cannot be run is left out, and says why.

    Takes some milliseconds for a hundred rules: not on an event loop.
    """
    building = _Building()
    for rule in rules:
        if rule.kind == "score" or not rule.is_off:  # nothing, for what another check finds
            building.add(rule)
    return building.done()


def without(rules: Sequence[Rule], names: Set[str]) -> tuple[tuple[Rule, ...], Mapping[str, str]]:
    """Return ``rules`` but for ``names``, and but for metas that would hold only because of that.

    Those come second, each with what it excludes.
    """
    negated = {
        rule.name: read_expression(rule.source).negated
        for rule in rules
        if rule.kind == "meta" and rule.name not in names
    }
    metas = turned(negated, names)
    return tuple(each for each in rules if each.name not in {*names, *metas}), metas


class _Building:
    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.faults: dict[str, Fault] = {}
        self.by_text: dict[Text, list[tuple[Rule, Pattern]]] = {}
        self.existing: list[tuple[Rule, Place]] = []
        self.metas: dict[str, tuple[Rule, Expression]] = {}

    def add(self, rule: Rule) -> None:
        try:
            test = read_definition(rule.kind, rule.source)
        except BadRule as wrong:
            self.faults[rule.name] = fault_of(rule, str(wrong))
            return
        self.rules[rule.name] = rule
        match test:
            case Exists(place):
                self.existing.append((rule, place))
            case Expression():
                self.metas[rule.name] = (rule, test)
            case Pattern():
                text = test.place or next(each for each in TEXTS if each == rule.kind)
                self.by_text.setdefault(text, []).append((rule, test))
            case None:
                pass

    def done(self) -> Compiled:
        metas = tuple(self._ordered())
        return Compiled(
            groups=tuple(_group(text, of) for text, of in self.by_text.items()),
            existing=tuple(self.existing),
            metas=metas,
            rules=self.rules,
            faults=self.faults,
        )

    def _ordered(self) -> Iterable[Meta]:
        idle: dict[str, float] = {}
        for name in self._sorted():
            rule, expression = self.metas[name]
            idle[name] = expression.value(idle)
            yield Meta(rule, expression, idle[name])

    def _sorted(self) -> Sequence[str]:
        """Return the metas' names, what they build on first; those that go in circles are left out."""
        while True:
            graph = {
                name: [other for other in each.names if other in self.metas]
                for name, (_, each) in self.metas.items()
            }
            try:
                return list(TopologicalSorter(graph).static_order())
            except CycleError as wrong:
                for name in set(wrong.args[1]):
                    rule, _ = self.metas.pop(name)
                    del self.rules[name]
                    why = f"builds on itself: {' '.join(wrong.args[1])}"
                    self.faults[name] = fault_of(rule, why)


def _group(text: Text, of: Sequence[tuple[Rule, Pattern]]) -> Group:
    tests = tuple(test for _, test in of)
    return Group(
        text=text,
        rules=tuple(rule for rule, _ in of),
        tests=tests,
        patterns=Patterns([each.pattern for each in tests], by_lines=text in BY_LINES),
        special=tuple(at for at, each in enumerate(tests) if each.is_negated or each.unset),
    )
