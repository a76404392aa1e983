"""The words of reports in one language: what a person reads of what became of a mail.

A wording is a TOML text, `posthouse.runtime.wordings` has those of the house:

    language = "de"             # BCP 47, goes into Content-Language (RFC 3282 §2)
    [failed]                    # and each other action of RFC 3464 §2.3.3
    subject = "..."
    opening = "... {host} ..."
    [phrases]                   # see `PHRASES`
    [reasons]                   # why, by the subject and detail of a status (RFC 3463 §3)
    "1.1" = "..."

What is for programs (``message/delivery-status``) has no language.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import get_args

from posthouse.mail.report import Action
from posthouse.mail.status import Status

ACTIONS: tuple[Action, ...] = get_args(Action)
# Each phrase and what may stand in it.
PHRASES: Mapping[str, frozenset[str]] = {
    "from": frozenset(),  # the name in From
    "date": frozenset(),  # how a moment is written, for strftime; digits only
    "meant": frozenset({"address"}),  # the address that the sender wrote
    "said": frozenset({"host"}),  # before a server's own words
    "reason": frozenset(),  # before our own
    "until": frozenset({"date"}),  # when a late mail is given up
    "whole": frozenset(),  # the mail is attached
    "header": frozenset(),  # its header is
}
_IN_OPENINGS = frozenset({"host"})
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}")  # RFC 5646 §2.1, what is needed
_REASON = re.compile(r"\d\.\d{1,3}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_DATE = re.compile(r"(?:%[YmdHM]|[^%])+")
MAX_CHARACTERS = 2000  # of one text
MAX_FIELD_CHARACTERS = 200  # of one that goes into a header field
_IN_HEADERS = frozenset({"subject", "from"})


class BadWording(ValueError):
    """A wording that cannot be used; says everything that is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What reports say in one language.

    Attributes:
        language: Its tag, as ``de`` or ``pt-BR``.
        subjects: The Subject of a report, by what it tells.
        openings: Its first sentences, likewise; ``{host}`` is our name.
        phrases: What stands between; see `PHRASES`.
        reasons: Why something failed, in plain words, by subject and detail (``1.1``).
    """

    language: str
    subjects: Mapping[Action, str]
    openings: Mapping[Action, str]
    phrases: Mapping[str, str]
    reasons: Mapping[str, str]

    def say(self, phrase: str, **values: str) -> str:
        """Return a phrase with ``values`` in it."""
        return self.phrases[phrase].format(**values)

    def reason_of(self, status: Status) -> str:
        """Return what ``status`` means to a person; empty where no plain words are known."""
        return self.reasons.get(f"{status.enhanced[1]}.{status.enhanced[2]}", "")


def read_wording(text: str) -> Wording:
    """Read a wording; `BadWording` tells every fault at once."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise BadWording(f"is no TOML: {wrong}") from wrong
    if faults := [*_faults(tables)]:
        raise BadWording("; ".join(faults))
    return Wording(
        language=tables["language"],
        subjects={action: tables[action]["subject"] for action in ACTIONS},
        openings={action: tables[action]["opening"] for action in ACTIONS},
        phrases=tables["phrases"],
        reasons=tables.get("reasons", {}),
    )


def _faults(tables: Mapping[str, object]) -> Iterator[str]:
    language = tables.get("language")
    if not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
        yield "language must be a tag like de or pt-BR"
    expected = {"subject": frozenset[str](), "opening": _IN_OPENINGS}
    for action in ACTIONS:
        yield from _faults_of(action, tables.get(action), expected)
    phrases = tables.get("phrases")
    yield from _faults_of("phrases", phrases, PHRASES)
    if isinstance(phrases, dict) and not _DATE.fullmatch(str(phrases.get("date", "-"))):
        yield "phrases.date may hold %Y, %m, %d, %H and %M only"
    reasons = tables.get("reasons", {})
    names = list(reasons) if isinstance(reasons, dict) else []
    yield from (f"reasons.{name} must be named like 1.1" for name in names if not _is_code(name))
    yield from _faults_of("reasons", reasons, dict.fromkeys(names, frozenset[str]()))
    known = {"language", "phrases", "reasons", *ACTIONS}
    yield from (f"{name} is not known here" for name in tables if name not in known)


def _is_code(name: str) -> bool:
    return _REASON.fullmatch(name) is not None


def _faults_of(name: str, table: object, expected: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield what is wrong with a table of texts that must have just these keys."""
    if not isinstance(table, dict):
        yield f"[{name}] is missing"
        return
    for key, fields in expected.items():
        most = MAX_FIELD_CHARACTERS if key in _IN_HEADERS else MAX_CHARACTERS
        fault = "is missing" if key not in table else _fault_of_text(table[key], fields, most)
        if fault:
            yield f"{name}.{key} {fault}"
    yield from (f"{name}.{key} is not known here" for key in table if key not in expected)


def _fault_of_text(text: object, fields: frozenset[str], most: int) -> str:
    if not isinstance(text, str) or not text.strip():
        return "must be a text"
    if len(text) > most or _CONTROLS.search(text):
        return f"must be one line of at most {most} characters"
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as wrong:
        return f"has a brace too much or too few: {wrong}"
    named = [
        (field, spec or conversion) for _, field, spec, conversion in pieces if field is not None
    ]
    strange = sorted({field for field, detail in named if field not in fields or detail})
    return f"holds {{{strange[0]}}}, which is not known there" if strange else ""
