"""Addresses of header fields as IMAP's ENVELOPE wants them (RFC 5322 §3.4, RFC 3501 §7.4.2).

Never refuses: what is no address becomes the nearest thing to one. Encoded words (RFC 2047)
stay encoded. Two ways lead through: a regular expression for what nearly every mail holds, and
a tokenizer for comments, groups, routes and rubbish.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from posthouse.mime.parameters import QUOTED, unquote

MISSING_MAILBOX = b"MISSING_MAILBOX"  # what Dovecot says too, and clients know
MISSING_DOMAIN = b"MISSING_DOMAIN"


class Mailbox(NamedTuple):
    """One address structure.

    A group begins with a Mailbox that has a local part, its name, and no host, and ends with one
    that has neither (RFC 3501 §7.4.2).

    Attributes:
        name: The display name or, without one, the comment; raw, without quotes.
        route: The at-domain list (source route) of old; None if there is none.
        local: The local part without quotes.
        host: The domain.
    """

    name: bytes | None
    route: bytes | None
    local: bytes | None
    host: bytes | None


GROUP_END = Mailbox(None, None, None, None)

_PLAIN = rb"[^\x00-\x20\"(),:;<>@\[\]\\]+"  # a dot-atom, or a little more
_WORDS = rb"[^\"(),:;<>@\[\]\\]*"
_SIMPLE = re.compile(
    rb"(?:(?:[ \t]*\"([^\"\\]*)\"[ \t]*|(%s))<(%s)@(%s)>|[ \t]*(%s)@(%s))[ \t]*(?:,|\Z)"
    % (_WORDS, _PLAIN, _PLAIN, _PLAIN, _PLAIN)
)
_TOKEN = re.compile(
    rb"(?P<space>[ \t\r\n]+)|\"(?P<quoted>%s)\"?|(?P<special>[(),:;<>@])|(?P<literal>\[[^\]]*\]?)"
    rb"|(?P<atom>[^ \t\r\n\"(),:;<>@\[]+)" % QUOTED,
    re.DOTALL,
)
_IN_COMMENT = re.compile(rb"[()]|[^()\\]+|\\.?", re.DOTALL)


def parse_addresses(field: bytes) -> list[Mailbox]:
    """Read an address list (RFC 5322 §3.4) of any form."""
    found: list[Mailbox] = []
    at = 0
    while at < len(field):
        match = _SIMPLE.match(field, at)
        if match is None:
            return _Reader(field).read()
        quoted, words, local, host, bare_local, bare_host = match.groups()
        if bare_local is not None:
            found.append(Mailbox(None, None, bare_local, bare_host))
        else:
            name = words.strip(b" \t") if quoted is None else quoted
            found.append(Mailbox(name or None, None, local, host))
        at = match.end()
    return found


class _Reader:
    """Reads one address list token by token; what stands between commas is gathered here."""

    def __init__(self, field: bytes) -> None:
        self._field = field
        self._found: list[Mailbox] = []
        self._in_group = False
        self._clear()

    def _clear(self) -> None:
        self._words: list[bytes] = []  # of the part being read: phrase, or address without <>
        self._phrase: list[bytes] | None = None  # what stood before "<"
        self._route: bytes | None = None
        self._local: list[bytes] | None = None  # what stood before "@"
        self._comment: bytes | None = None
        self._is_closed = False  # ">" was read; what follows is rubbish up to the comma

    def read(self) -> list[Mailbox]:
        at = 0
        while match := _TOKEN.match(self._field, at):
            at = match.end()
            kind = match.lastgroup
            if match[0] == b"(":
                at = self._skip_comment(at)
            elif kind == "special":
                self._special(match[0])
            elif not self._is_closed:
                self._word(match[0] if kind != "quoted" else unquote(match["quoted"]))
        self._end_group() if self._in_group else self._end_mailbox()
        return self._found

    def _word(self, word: bytes) -> None:
        if not word.isspace():
            self._words.append(word)
        elif self._words and self._words[-1] != b" ":
            self._words.append(b" ")

    def _skip_comment(self, at: int) -> int:
        """Keep the comment's inside and return where it ends (RFC 5322 §3.2.2: they nest)."""
        start, depth = at, 1
        while depth and (match := _IN_COMMENT.match(self._field, at)):
            depth += (match[0] == b"(") - (match[0] == b")")
            at = match.end()
        self._comment = unquote(self._field[start : at - (not depth)])
        return at

    def _special(self, char: bytes) -> None:
        if char == b",":
            # In "<@a,@b:c@d>" the comma belongs to the route.
            if self._phrase is not None and self._local == []:
                self._words.append(char)
            else:
                self._end_mailbox()
        elif char == b";":
            self._end_group()
        elif char == b":":
            self._colon()
        elif char == b"<":
            self._phrase, self._words = self._local_words() + self._words, []
        elif char == b">":
            self._is_closed = self._phrase is not None
        elif char == b"@":
            self._at()

    def _local_words(self) -> list[bytes]:
        """Return the words before an "@" that was none after all: it stood in a display name."""
        local, self._local = self._local, None
        return [*local, b"@"] if local is not None else []

    def _at(self) -> None:
        if self._local is None:
            self._local, self._words = self._words, []
        else:
            self._words.append(b"@")

    def _colon(self) -> None:
        if self._phrase is not None:
            if self._local == []:  # the end of a source route, RFC 5322 §4.4
                self._route, self._local, self._words = b"@" + _join(self._words), None, []
            else:
                self._words.append(b":")
        elif not self._in_group:
            name = _join(self._local_words() + self._words)
            self._clear()
            self._in_group = True
            self._found.append(Mailbox(None, None, name, None))

    def _end_group(self) -> None:
        self._end_mailbox()
        if self._in_group:
            self._found.append(GROUP_END)
        self._in_group = False

    def _end_mailbox(self) -> None:
        words, local = _join(self._words), self._local
        name = _join(self._phrase or []) or self._comment
        if words or local or self._phrase:
            self._found.append(
                Mailbox(
                    name or None,
                    self._route,
                    (words if local is None else _join(local, b"")) or MISSING_MAILBOX,
                    (b"" if local is None else words.replace(b" ", b"")) or MISSING_DOMAIN,
                )
            )
        self._clear()


def _join(words: list[bytes], space: bytes = b" ") -> bytes:
    return b"".join(space if word == b" " else word for word in words).strip(b" ")
