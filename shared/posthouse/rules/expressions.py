"""Expressions of metas and conditions: names, numbers, ``&& || ! < + ...``, as SpamAssassin has them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from posthouse.rules.rule import BadRule

Value: TypeAlias = Callable[[Mapping[str, float]], float]

MAX_CHARACTERS: Final = 16_000
MAX_DEPTH: Final = 60  # of parentheses and signs within each other

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||[<>=!]=|[-+*/<>()!]))"
)


def _ratio(left: float, right: float) -> float:
    return left / right if right else 0.0


# From what binds least to what binds most (perlop).
_LEVELS: Final[tuple[Mapping[str, Callable[[float, float], float]], ...]] = (
    {"||": lambda left, right: left or right},
    {"&&": lambda left, right: left and right},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _ratio},
)


@dataclass(frozen=True, slots=True)
class Expression:
    """What was read.

    Attributes:
        value: Computes it; a name that is unknown is 0.
        names: Those it asks for.
        negated: Those of them whose absence makes it hold: within a ``!``.
    """

    value: Value
    names: frozenset[str]
    negated: frozenset[str] = frozenset()


def read_expression(text: str) -> Expression:
    """Read all of ``text``; raise `BadRule`."""
    if len(text) > MAX_CHARACTERS:
        raise BadRule(f"an expression has at most {MAX_CHARACTERS} characters")
    return _Reader(text).whole()


def turned(negated: Mapping[str, Set[str]], unknown: Set[str]) -> dict[str, str]:
    """Return the metas that would hold only because something is unknown, and what that is.

    Args:
        negated: The metas, and what each of them excludes.
        unknown: What is not run; a meta that is left out is unknown to others.
    """
    found = dict[str, str]()
    missing = set(unknown)
    while new := {
        name: min(of & missing)
        for name, of in negated.items()
        if name not in found and not of.isdisjoint(missing)
    }:
        found |= new
        missing |= new.keys()
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._names: set[str] = set()
        self._negated: set[str] = set()
        self._is_turned = False

    def whole(self) -> Expression:
        value = self._level(0, MAX_DEPTH)
        if self._at < len(self._tokens):
            raise BadRule(f"unexpected {self._tokens[self._at][1]!r}")
        return Expression(value, frozenset(self._names), frozenset(self._negated))

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _level(self, number: int, depth: int) -> Value:
        if number == len(_LEVELS):
            return self._single(depth)
        level = _LEVELS[number]
        first = self._level(number + 1, depth)
        rest: list[tuple[Callable[[float, float], float], Value]] = []
        while self._peek() in level:
            work = level[self._peek()]
            self._at += 1
            rest.append((work, self._level(number + 1, depth)))
        return _chained(first, rest) if rest else first

    def _single(self, depth: int) -> Value:
        if not depth:
            raise BadRule(f"nested deeper than {MAX_DEPTH}")
        if self._at == len(self._tokens):
            raise BadRule("it ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return _constant(float(text))
        if kind == "name":
            return self._name(text)
        if text == "(":
            return self._within(depth - 1)
        if text in {"!", "-", "+"}:
            self._is_turned ^= text == "!"
            value = self._single(depth - 1)
            self._is_turned ^= text == "!"
            return _signed(text, value)
        raise BadRule(f"unexpected {text!r}")

    def _name(self, name: str) -> Value:
        if self._peek() == "(":
            raise BadRule(f"no function is known: {name}()")
        self._names.add(name)
        if self._is_turned:
            self._negated.add(name)
        return _named(name)

    def _within(self, depth: int) -> Value:
        value = self._level(0, depth)
        if self._peek() != ")":
            raise BadRule("a parenthesis is not closed")
        self._at += 1
        return value


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadRule(f"not understood from {text[at : at + 20].strip()!r} on")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return found


def _constant(number: float) -> Value:
    return lambda _: number


def _named(name: str) -> Value:
    return lambda known: known.get(name, 0.0)


def _signed(sign: str, of: Value) -> Value:
    if sign == "!":
        return lambda known: float(not of(known))
    return of if sign == "+" else lambda known: -of(known)


def _chained(first: Value, rest: list[tuple[Callable[[float, float], float], Value]]) -> Value:
    def value(known: Mapping[str, float]) -> float:
        result = first(known)
        for work, of in rest:
            result = work(result, of(known))
        return float(result)

    return value
