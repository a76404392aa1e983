"""Reading SpamAssassin's ``.cf`` language (Mail::SpamAssassin::Conf): what of it we run, and of each other line why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from posthouse.rules.conditions import Blocks
from posthouse.rules.definitions import read_definition
from posthouse.rules.expressions import read_expression
from posthouse.rules.rule import MAX_SCORE, NAME, SCORE_SETS, BadRule, Fault, Kind, Rule

MAX_FILE_OCTETS: Final = 4 * 1024 * 1024
MAX_RULES: Final = 20_000
SHOWN_CHARACTERS: Final = 80

# What other checks find under SpamAssassin's names: of those only the score is taken.
ELSEWHERE: Final = ("SPF_", "DKIM_", "DMARC_", "ARC_", "IPREV_")

_COMMENT = re.compile(r"(?<!\\)#.*")
_SCORE = re.compile(r"[-+]?(?:\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})")
_TESTS: Final[dict[str, Kind]] = {
    "header": "header", "body": "body", "rawbody": "rawbody", "full": "full", "uri": "uri",
    "meta": "meta",
}  # fmt: skip
OURS: Final = "en"  # the language that `lang` lines may be in
_WHY: Final = {
    "priority": "rules run all at once: it means nothing here",
    "reuse": "means something only to SpamAssassin's own mass checks",
    "test": "tests of rules are not kept: posthouse policy rules test",
    "lang": f"for readers of another language than {OURS}",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds.

    Attributes:
        rules: Each once, the last definition of it; those that only give points to findings of
            other checks, or to rules of another file, are of kind ``score``.
        faults: Lines that are not taken, in their order.
    """

    rules: tuple[Rule, ...]
    faults: tuple[Fault, ...]


def read_rules(text: str) -> Reading:
    """Read a whole file."""
    return _Reader().read(text)


@dataclass(slots=True)
class _Reader:
    rules: dict[str, Rule] = field(default_factory=dict)
    scores: dict[str, tuple[int, tuple[float, ...]]] = field(default_factory=dict)
    abouts: dict[str, tuple[int, str]] = field(default_factory=dict)
    flags: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # tests that are not run, and why
    faults: list[Fault] = field(default_factory=list)

    def read(self, text: str) -> Reading:
        blocks = Blocks()
        for number, line in _lines(text):
            try:
                if not blocks.takes(line):
                    self._line(number, line)
            except BadRule as wrong:
                self.faults.append(Fault(line=number, text=line[:SHOWN_CHARACTERS], why=str(wrong)))
        if blocks.is_open:
            self.faults.append(Fault(line=0, text="endif", why="an if has no endif"))
        self._drop_turned()
        whole = tuple(self._whole())
        self.faults.sort(key=lambda fault: fault.line)
        return Reading(whole, tuple(self.faults))

    def _line(self, number: int, line: str) -> None:
        word, _, rest = line.partition(" ")
        name, _, rest = rest.strip().partition(" ")
        rest = rest.strip()
        if word == "lang" and name == OURS:
            self._line(number, rest)
        elif word == "replace_rules":
            for each in (name, *rest.split()):
                self.refused[each] = "it is made of replace_tag patterns"
                self.rules.pop(each, None)
            raise BadRule("patterns are not put together from tags")
        elif word in _WHY:
            raise BadRule(_WHY[word])
        elif word not in {*_TESTS, "score", "describe", "tflags"}:
            raise BadRule(f"{word} is no line of rules that is known here")
        elif NAME.fullmatch(name) is None:
            raise BadRule(f"not a rule's name: {name[:SHOWN_CHARACTERS]!r}")
        elif word in _TESTS:
            self._test(number, _TESTS[word], name, rest)
        else:
            self._said(number, word, name, rest)

    def _test(self, number: int, kind: Kind, name: str, source: str) -> None:
        self.rules.pop(name, None)
        try:
            read_definition(kind, source)
            if name in self.refused and self.refused[name].startswith("it is made"):
                raise BadRule(self.refused[name])
            if len(self.rules) >= MAX_RULES:
                raise BadRule(f"more than {MAX_RULES} rules")
        except BadRule as wrong:
            self.refused[name] = str(wrong)
            raise
        self.refused.pop(name, None)
        self.rules[name] = Rule(name=name, kind=kind, source=source, line=number)

    def _said(self, number: int, word: str, name: str, rest: str) -> None:
        if word == "describe":
            self.abouts[name] = (number, rest)
        elif word == "tflags":
            self.flags[name] = (number, tuple(rest.split()))
        else:
            self.scores[name] = (number, self._points(name, rest))

    def _points(self, name: str, text: str) -> tuple[float, ...]:
        words = text.split()
        is_more = bool(words) and all(w.startswith("(") and w.endswith(")") for w in words)
        values = read_scores([word.strip("()") for word in words] if is_more else words)
        if not is_more or name not in self.scores:
            return values
        before = self.scores[name][1]
        longest = max(before, values, key=len)
        return tuple(
            before[at if len(before) > 1 else 0] + values[at if len(values) > 1 else 0]
            for at in range(len(longest))
        )

    def _drop_turned(self) -> None:
        """Refuse metas that would hold only because a rule of the file cannot be run."""
        turned = {
            name: read_expression(rule.source).negated
            for name, rule in self.rules.items()
            if rule.kind == "meta"
        }
        unknown = {name for name in self.refused if not name.startswith(ELSEWHERE)}
        while found := {name for name, of in turned.items() if not of.isdisjoint(unknown)}:
            for name in found:
                rule, missing = self.rules.pop(name), min(turned.pop(name) & unknown)
                why = "would hold because a rule that it excludes is not taken"
                text = f"meta {name}: {missing}"
                self.faults.append(Fault(line=rule.line, text=text, why=why))
                self.refused[name] = why
            unknown |= found

    def _whole(self) -> Iterator[Rule]:
        for rule in self.rules.values():
            yield replace(
                rule,
                scores=self.scores.get(rule.name, (0, ()))[1],
                about=self.abouts.get(rule.name, (0, ""))[1][:500],
                flags=self.flags.get(rule.name, (0, ()))[1],
            )
        for name, (number, scores) in self.scores.items():
            if name in self.refused and not name.startswith(ELSEWHERE):
                self._unused(number, f"score {name}", name)
            elif name not in self.rules:
                yield Rule(name=name, kind="score", scores=scores, line=number)
        for word, said in (("describe", self.abouts), ("tflags", self.flags)):
            for name, (number, _) in said.items():
                if name not in self.rules:
                    self._unused(number, f"{word} {name}", name)

    def _unused(self, number: int, text: str, name: str) -> None:
        why = (
            "its rule is not taken"
            if name in self.refused
            else "no rule of this name is in the file"
        )
        self.faults.append(Fault(line=number, text=text, why=why))


def read_scores(words: list[str]) -> tuple[float, ...]:
    """Return one or four scores; raise `BadRule`."""
    if len(words) not in {1, SCORE_SETS}:
        raise BadRule("a rule has one score, or four")
    for word in words:
        if _SCORE.fullmatch(word) is None or abs(float(word)) > MAX_SCORE:
            raise BadRule(f"not a score from -{MAX_SCORE:.0f} to {MAX_SCORE:.0f}: {word[:20]!r}")
    return tuple(float(word) for word in words)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield what is no comment: blanks at the ends gone, those behind the first two words single."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = _COMMENT.sub("", raw).strip().replace("\\#", "#")
        if line:
            words = line.split(None, 2)
            yield number, " ".join(words)
