"""Reading SpamAssassin's ``.cf`` language (Mail::SpamAssassin::Conf): what we run, and of each other line why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from posthouse.rules.conditions import Blocks
from posthouse.rules.definitions import read_definition
from posthouse.rules.expressions import read_expression, turned
from posthouse.rules.rule import MAX_SCORE, NAME, SCORE_SETS, BadRule, Fault, Kind, Rule

MAX_FILE_OCTETS: Final = 4 * 1024 * 1024
MAX_RULES: Final = 20_000
MAX_INCLUDED: Final = 10  # files within each other
SHOWN_CHARACTERS: Final = 80

# What other checks find under SpamAssassin's names: of those only the score is taken.
ELSEWHERE: Final = ("SPF_", "DKIM_", "DMARC_", "ARC_", "IPREV_", "BAYES_")

_COMMENT = re.compile(r"(?<!\\)#.*")
_SCORE = re.compile(r"[-+]?(?:\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})")
_TESTS: Final[dict[str, Kind]] = {
    "header": "header", "body": "body", "rawbody": "rawbody", "full": "full", "uri": "uri",
    "meta": "meta",
}  # fmt: skip
TURNED: Final = "would hold because a rule that it excludes is not taken"
OURS: Final = "en"  # the language that `lang` lines may be in
_WHY: Final = {
    "priority": "rules run all at once: it means nothing here",
    "reuse": "means something only to SpamAssassin's own mass checks",
    "test": "tests of rules are not kept: posthouse policy rules test",
    "lang": f"for readers of another language than {OURS}",
}


# Lines that are no rules, by how they begin, and who knows what they say.
_BELONGS: Final = (
    (("def_w", "unw", "whitelist", "welcomelist", "unb", "blacklist", "blocklist", "more_spam", "all_spam"),
     "belongs to the lists: posthouse policy import spamassassin FILE"),
    (("required_score", "rewrite_header", "bayes_", "use_bayes", "trusted_networks", "internal_networks"),
     "is a setting of policy: services/policy_engine/README.md"),
)  # fmt: skip


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


class File(NamedTuple):
    """A file of rules, by the name under which others include it."""

    name: str
    text: str


class _Where(NamedTuple):
    file: str = ""
    line: int = 0


_NOWHERE: Final = _Where()


def decoded(octets: bytes) -> str:
    """Return a file's text. Older ones are in Latin-1: what is beyond ASCII matches as UTF-8."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def read_rules(text: str) -> Reading:
    """Read a whole file."""
    return read_files([File("", text)])


def read_files(files: Sequence[File], included: Sequence[File] = ()) -> Reading:
    """Read ``files`` one behind the other, as one; ``included`` are at hand for their ``include``."""
    reader = _Reader(at_hand={each.name: each.text for each in (*files, *included)})
    return reader.read(files)


@dataclass(slots=True)
class _Reader:
    at_hand: dict[str, str]
    left: int = MAX_FILE_OCTETS  # characters that may be included
    rules: dict[str, Rule] = field(default_factory=dict)
    scores: dict[str, tuple[_Where, tuple[float, ...]]] = field(default_factory=dict)
    abouts: dict[str, tuple[_Where, str]] = field(default_factory=dict)
    flags: dict[str, tuple[_Where, tuple[str, ...]]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # tests that are not run, and why
    faults: list[Fault] = field(default_factory=list)

    def read(self, files: Sequence[File]) -> Reading:
        for file in files:
            self._file(file, MAX_INCLUDED)
        self._drop_turned()
        whole = tuple(self._whole())
        order = {name: at for at, name in enumerate(self.at_hand)}
        self.faults.sort(key=lambda fault: (order[fault.file], fault.line))
        return Reading(whole, tuple(self.faults))

    def _file(self, file: File, depth: int) -> None:
        blocks = Blocks()
        for number, line in _lines(file.text):
            where = _Where(file.name, number)
            try:
                if blocks.takes(line):
                    continue
                if line.startswith("include "):
                    self._file(self._included(line, depth), depth - 1)
                else:
                    self._line(where, line)
            except BadRule as wrong:
                self._fault(where, line[:SHOWN_CHARACTERS], str(wrong))
        if blocks.is_open:
            self._fault(_Where(file.name, 0), "endif", "an if has no endif")

    def _included(self, line: str, depth: int) -> File:
        name = line.partition(" ")[2].strip()
        if not depth:
            raise BadRule(f"files include each other deeper than {MAX_INCLUDED}")
        if name not in self.at_hand:
            raise BadRule("the file that it includes is not at hand")
        self.left -= len(self.at_hand[name])
        if self.left < 0:
            raise BadRule(f"more than {MAX_FILE_OCTETS} characters are included")
        return File(name, self.at_hand[name])

    def _fault(self, where: _Where, text: str, why: str) -> None:
        self.faults.append(Fault(file=where.file, line=where.line, text=text, why=why))

    def _line(self, where: _Where, line: str) -> None:
        word, _, rest = line.partition(" ")
        name, _, rest = rest.strip().partition(" ")
        rest = rest.strip()
        if word == "lang" and name == OURS:
            self._line(where, rest)
        elif word == "replace_rules":
            for each in (name, *rest.split()):
                self.refused[each] = "it is made of replace_tag patterns"
                self.rules.pop(each, None)
            raise BadRule("patterns are not put together from tags")
        elif word in _WHY:
            raise BadRule(_WHY[word])
        elif word not in {*_TESTS, "score", "describe", "tflags"}:
            raise BadRule(_elsewhere(word))
        elif NAME.fullmatch(name) is None:
            raise BadRule(f"not a rule's name: {name[:SHOWN_CHARACTERS]!r}")
        elif word in _TESTS:
            self._test(where, _TESTS[word], name, rest)
        else:
            self._said(where, word, name, rest)

    def _test(self, where: _Where, kind: Kind, name: str, source: str) -> None:
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
        self.rules[name] = Rule(
            name=name, kind=kind, source=source, file=where.file, line=where.line
        )

    def _said(self, where: _Where, word: str, name: str, rest: str) -> None:
        if word == "describe":
            self.abouts[name] = (where, rest)
        elif word == "tflags":
            self.flags[name] = (where, tuple(rest.split()))
        else:
            self.scores[name] = (where, self._points(name, rest))

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
        negated = {
            name: read_expression(rule.source).negated
            for name, rule in self.rules.items()
            if rule.kind == "meta"
        }
        unknown = {name for name in self.refused if not name.startswith(ELSEWHERE)}
        for name, missing in turned(negated, unknown).items():
            rule = self.rules.pop(name)
            self._fault(_Where(rule.file, rule.line), f"meta {name}: {missing}", TURNED)
            self.refused[name] = TURNED

    def _whole(self) -> Iterator[Rule]:
        for rule in self.rules.values():
            yield replace(
                rule,
                scores=self.scores.get(rule.name, (_NOWHERE, ()))[1],
                about=self.abouts.get(rule.name, (_NOWHERE, ""))[1][:500],
                flags=self.flags.get(rule.name, (_NOWHERE, ()))[1],
            )
        for name, (where, scores) in self.scores.items():
            if name in self.refused and not name.startswith(ELSEWHERE):
                self._unused(where, f"score {name}", name)
            elif name not in self.rules:
                yield Rule(name=name, kind="score", scores=scores, file=where.file, line=where.line)
        for word, said in (("describe", self.abouts), ("tflags", self.flags)):
            for name, (where, _) in said.items():
                if name not in self.rules:
                    self._unused(where, f"{word} {name}", name)

    def _unused(self, where: _Where, text: str, name: str) -> None:
        is_refused = name in self.refused
        why = "its rule is not taken" if is_refused else "no rule of this name is in the files"
        self._fault(where, text, why)


def _elsewhere(word: str) -> str:
    """Return where a line belongs that is no rule."""
    told = (why for beginnings, why in _BELONGS if word.startswith(beginnings))
    return next(told, f"{word[:SHOWN_CHARACTERS]} is no line of rules that is known here")


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
