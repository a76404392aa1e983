"""Perl's regular expressions, as far as RE2 knows them: in linear time whatever the text is.

Patterns match octets of UTF-8, as SpamAssassin's do. What needs backtracking (look-around, back
references, atomic groups) is refused with its reason; nothing is left to another engine.
"""

from __future__ import annotations

import re
from typing import Final

import re2

from posthouse.rules.rule import BadRule

MAX_PATTERN_CHARACTERS: Final = 8_000
MAX_PATTERN_MEMORY: Final = 2 * 1024 * 1024  # of one compiled pattern

_CLOSING: Final = {"{": "}", "(": ")", "[": "]", "<": ">"}
_FLAGS: Final = frozenset("imsx")
_WITHOUT_MEANING: Final = frozenset("gaunlpo")  # of flags, where octets are matched
_ESCAPES: Final = {
    "h": r"[ \t]", "H": r"[^ \t]", "R": r"(?:\r\n|\n|\r)", "Z": r"(?:\n?\z)", "e": r"\x1b",
    "/": "/", "#": "#",
}  # fmt: skip
_IN_CLASS: Final = {"h": r" \t", "e": r"\x1b", "/": "/", "#": "#"}
_WIDE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_NARROW: Final = 0xFF


def options() -> re2.Options:
    """Return how all patterns are compiled."""
    chosen = re2.Options()
    chosen.encoding = re2.Options.Encoding.LATIN1
    chosen.log_errors = False
    chosen.max_mem = MAX_PATTERN_MEMORY
    return chosen


def read_pattern(text: str, *, by_lines: bool = False) -> bytes:
    """Return the RE2 pattern that a Perl literal (``/.../i``, ``m{...}``) is; raise `BadRule`.

    Args:
        text: The literal, with its delimiters and flags.
        by_lines: Each line of what it is matched with is a text of its own: ``^`` and ``$`` are
            its ends.
    """
    body, flags = _literal(text)
    if len(body) > MAX_PATTERN_CHARACTERS:
        raise BadRule(f"a pattern has at most {MAX_PATTERN_CHARACTERS} characters")
    kept = "".join(sorted(flags & {"i", "m", "s"} | ({"m"} if by_lines else set())))
    written = _translated(body, is_spaced="x" in flags, by_lines=by_lines)
    pattern = (f"(?{kept})" if kept else "").encode() + written.encode("utf-8", "surrogateescape")
    try:
        re2.compile(pattern, options())
    except re2.error as wrong:
        raise BadRule(f"RE2 does not know it: {_said(wrong)}") from wrong
    return pattern


def _said(wrong: Exception) -> str:
    text = wrong.args[0] if wrong.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _literal(text: str) -> tuple[str, set[str]]:
    text = text.strip()
    start = 1 if text[:1] == "m" and text[1:2] and not text[1].isalnum() else 0
    opening = text[start : start + 1]
    closing = _CLOSING.get(opening, opening)
    end = text.rfind(closing) if closing else -1
    if end <= start or (start == 0 and opening != "/"):
        raise BadRule("a pattern is written /.../ or m{...}")
    flags = set(text[end + 1 :].strip())
    unknown = flags - _FLAGS - _WITHOUT_MEANING
    if unknown:
        raise BadRule(f"unknown flags of a pattern: {''.join(sorted(unknown))}")
    if end == start + 1:
        raise BadRule("an empty pattern matches everything")
    return text[start + 1 : end], flags


def _translated(body: str, *, is_spaced: bool, by_lines: bool) -> str:
    body = _WIDE.sub(_octets, body)
    escapes = _ESCAPES | ({"A": "^", "Z": "$", "z": "$"} if by_lines else {})
    pieces, at, in_class = list[str](), 0, False
    while at < len(body):
        character = body[at]
        if character == "\\" and at + 1 < len(body):
            known = _IN_CLASS if in_class else escapes
            pieces.append(known.get(body[at + 1], body[at : at + 2]))
            at += 2
            continue
        if in_class:
            in_class = character != "]"
        elif character == "[":
            head = re.compile(r"\[\^?\]?").match(body, at)
            piece = head[0] if head else "["
            pieces.append(piece)
            at, in_class = at + len(piece), True
            continue
        elif is_spaced and character.isspace():
            at += 1
            continue
        elif is_spaced and character == "#":
            at = (body.find("\n", at) + 1) or len(body)
            continue
        end = _posix(body, at) if in_class else 0
        pieces.append(body[at:end] if end else character)
        at = end or at + 1
    return "".join(pieces)


def _posix(body: str, at: int) -> int:
    """Return where a ``[:alpha:]`` within a class ends; 0 if none begins here."""
    return body.find(":]", at) + 2 if body.startswith("[:", at) and ":]" in body[at:] else 0


def _octets(wide: re.Match[str]) -> str:
    """Write a character beyond Latin-1 as the octets of its UTF-8."""
    code = int(wide[1], 16)
    if code <= _NARROW or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - Unicode's
        return wide[0]
    return "(?:" + "".join(f"\\x{octet:02x}" for octet in chr(code).encode()) + ")"
