"""What a rule tests: the part of its line behind its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from posthouse.rules.expressions import Expression, read_expression
from posthouse.rules.perl import read_pattern
from posthouse.rules.rule import BadRule, Kind

BY_LINES: Final = frozenset({"body", "uri"})  # each paragraph, each address is a text of its own
FORMS: Final = frozenset({"", "raw", "addr", "name"})
# What SpamAssassin makes up of several fields or of the transaction, and we do, too.
MADE_UP: Final = frozenset({"all", "tocc", "envelopefrom", "messageid"})

_FIELD = re.compile(r"[!-9;-~]{1,100}")
_HEADER = re.compile(r"(?P<place>\S+?)\s*(?P<sign>=~|!~)\s*(?P<rest>\S.*)")
_UNSET = re.compile(r"(?P<pattern>.*\S)\s*\[if-unset:\s*(?P<unset>[^\]]*?)\s*\]")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Which header field is looked at, in which form.

    Attributes:
        name: Lower case; some are made up (`MADE_UP`).
        form: ``raw``, ``addr``, ``name``, or nothing for the decoded text.
    """

    name: str
    form: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A pattern that is found, or not.

    Attributes:
        place: Of a header's rule; None for the others.
        pattern: RE2's.
        is_negated: The rule holds where it is not found.
        unset: The text of a field that is missing.
    """

    place: Place | None = None
    pattern: bytes
    is_negated: bool = False
    unset: str = ""


@dataclass(frozen=True, slots=True)
class Exists:
    """A header field is there."""

    place: Place


Definition: TypeAlias = Pattern | Exists | Expression | None


def read_definition(kind: Kind, source: str) -> Definition:
    """Read a test; raise `BadRule` with the reason why it cannot be run."""
    if kind == "score":
        return None
    if kind == "meta":
        return read_expression(source)
    if source.startswith("eval:"):
        raise BadRule("functions of SpamAssassin's plugins (eval:) are not here")
    if kind == "header":
        return _header(source)
    return Pattern(pattern=read_pattern(source, by_lines=kind in BY_LINES))


def _header(source: str) -> Pattern | Exists:
    if source.startswith("exists:"):
        return Exists(_place(source.removeprefix("exists:").strip()))
    test = _HEADER.fullmatch(source)
    if test is None:
        raise BadRule("a header's rule is written FIELD =~ /.../ or exists:FIELD")
    unset = _UNSET.fullmatch(test["rest"])
    return Pattern(
        place=_place(test["place"]),
        pattern=read_pattern(unset["pattern"] if unset else test["rest"]),
        is_negated=test["sign"] == "!~",
        unset=unset["unset"] if unset else "",
    )


def _place(text: str) -> Place:
    name, _, form = text.partition(":")
    if form not in FORMS:
        raise BadRule(f"no such form of a field: {form}")
    if _FIELD.fullmatch(name) is None:
        raise BadRule(f"not a field's name: {name[:40]!r}")
    lower = name.lower()
    if lower.startswith(("x-spam-relays-", "all-", "envelopeto", "untrusted")):
        raise BadRule(f"{name} is made up by SpamAssassin and not known here")
    return Place(lower, form)
