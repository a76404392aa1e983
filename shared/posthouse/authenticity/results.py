"""Authentication-Results (RFC 8601): what was found, in words that the next reader understands.

A message that comes with results under our own name is lying: those fields are removed (§5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.mail.address import is_domain

MAX_REASON_CHARACTERS = 120
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\U0010ffff]+"
_DOT_STRING = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")  # RFC 5321 §4.1.2, RFC 6531 §3.3
_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~\-]+")  # RFC 2045 §5.1, without "/"
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r'["\\]')
_NAME = b"authentication-results"
# What stands before the authserv-id, and it (§2.2): comments in comments are read two deep.
_PLAIN = rb"[^()\\]|\\."
_COMMENT = rb"\((?:%b|\((?:%b)*+\))*+\)" % (_PLAIN, _PLAIN)
_AUTHOR = re.compile(
    rb"(?:[ \t\r\n]|%b)*+(?:\"((?:[^\"\\]|\\.)*+)\"|([^ \t\r\n;()\"]++))" % _COMMENT, re.DOTALL
)
_FIELD = re.compile(rb"(?im)^authentication-results[ \t]*:((?:[^\n]++|\n[ \t])*+\n?)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check found of one thing (RFC 8601 §2.2: ``resinfo``).

    Attributes:
        method: ``spf``, ``dkim``, ``dmarc``, ``arc``, ``iprev``, ``auth``.
        result: Of those that the method knows (§2.7).
        properties: ``smtp.mailfrom`` and so on, with their values.
        reason: For people; empty for none.
    """

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        """``spf=pass reason="..." smtp.mailfrom=a.test``."""
        words = [f"{self.method}={self.result}"]
        if self.reason:
            words.append(f"reason={_quoted(self.reason[:MAX_REASON_CHARACTERS])}")
        words += [f"{name}={pvalue(value)}" for name, value in self.properties if value]
        return " ".join(words)


def results_value(hostname: str, results: Sequence[Result]) -> str:
    """Return the value of the field, a result a line: ``mail.a.test; spf=pass ...``."""
    if not results:
        return f"{hostname}; none"  # §2.2: nothing was checked
    return ";\r\n\t".join([hostname, *map(str, results)])


def results_field(hostname: str, results: Sequence[Result]) -> bytes:
    """Return the field with its line end."""
    return f"Authentication-Results: {results_value(hostname, results)}\r\n".encode()


def without_results(header: bytes, hostname: str) -> bytes:
    """Return ``header`` without the fields that claim to be of ``hostname`` (§5), or hide of whom they are."""
    if _NAME not in header.lower():
        return header
    ours = hostname.lower().encode()
    return _FIELD.sub(lambda found: b"" if _author(found[1]) in {ours, b""} else found[0], header)


def _author(value: bytes) -> bytes:
    """Return the authserv-id of a field's value, lower case (§2.2); empty if none can be read."""
    found = _AUTHOR.match(value)
    if found is None:
        return b""
    return (found[2] or _PAIR.sub(rb"\1", found[1] or b"")).strip().lower()


def pvalue(text: str) -> str:
    """Return ``text`` as a ``pvalue`` (§2.2), whatever it holds.

    Quoted is what would else end the value, begin a comment or another result: the local part of an
    address, or the whole if no domain name follows or something cannot be seen.
    """
    if _TOKEN.fullmatch(text):
        return text
    local, at, domain = text.rpartition("@")
    if not (at and is_domain(domain) and text.isprintable()):
        return _quoted(text)
    if not local:
        return text
    return f"{local if _DOT_STRING.fullmatch(local) else _quoted(local)}@{domain}"


def _quoted(text: str) -> str:
    """Return ``text`` as a quoted string; controls, which none can hold, as question marks."""
    return '"' + _SPECIAL.sub(r"\\\g<0>", _CONTROL.sub("?", text)) + '"'
