"""What a submission says of its author, lacks, and must not tell (RFC 6409 §8). Pure.

    claims    the addresses of From and Sender, to be judged
    amended   the header without Bcc, with the domains and the Sender that it lacked

Only a submission is amended; mail from other servers stays octet for octet as it was sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.header import unfold, values
from posthouse.mime.addresses import Mailbox, parse_addresses

_REST = rb"[ \t]*:(?:[^\n]|\n[ \t])*(?:\n|\Z)"
# Whom a blind copy went to must not be told (RFC 5322 §3.6.3); Return-Path is for the last server
# to write (RFC 5321 §4.4).
_SECRETS = re.compile(rb"(?im)^(?:(?:resent-)?bcc|return-path)" + _REST)
_SENDER = re.compile(rb"(?im)^sender" + _REST)
_ADDRESSES = re.compile(
    rb"(?im)^((?:resent-)?(?:from|sender|to|cc)|reply-to)([ \t]*:)((?:[^\n]|\n[ \t])*(?:\n|\Z))"
)
_TOKEN = re.compile(
    rb"(?P<space>[ \t\r\n]+)|(?P<special>[(),:;<>@])"
    rb"|(?P<word>\"(?:[^\"\\]|\\.)*\"?|\[[^\]]*\]?|[^ \t\r\n\"(),:;<>@\[]+)",
    re.DOTALL,
)
_LOCAL = re.compile(rb"(?!=\?)[^\"\[].*|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_IN_COMMENT = re.compile(rb"[()]|[^()\\]+|\\.?", re.DOTALL)
_MORE_THAN_ENOUGH = 1000  # octets; what is longer is no address, nor is its beginning
_SPECIAL = re.compile(r'["\\]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Who is said to have written a message.

    Attributes:
        authors: The addresses of all From fields, groups included.
        senders: Those of all Sender fields.
        has_from: There is a From field, whatever it holds.
    """

    authors: tuple[str, ...]
    senders: tuple[str, ...]
    has_from: bool

    def is_plain(self, account: str) -> bool:
        """True if the message is said to be by ``account``, and by nobody else."""
        said = {address.lower() for address in (*self.authors, *self.senders)}
        return said == {account.lower()} and len(self.authors) == 1 and len(self.senders) <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What is to be changed in a header.

    Attributes:
        author: The address for a From field, which is missing; empty: it is there.
        sender: The address for the Sender field, in place of any; empty: it stays as it is.
        domain: For addresses that have none; empty: they stay as they are.
    """

    author: str = ""
    sender: str = ""
    domain: str = ""


def claims(header: bytes, domain: str = "") -> Claims:
    """Return whom ``header`` names as authors and senders; ``domain`` as in `Edits`."""
    complete = partial(completed, domain=domain.encode())
    froms = [complete(value) for value in values(header, b"From")]
    senders = [complete(value) for value in values(header, b"Sender")]
    return Claims(authors=_addresses(froms), senders=_addresses(senders), has_from=bool(froms))


def amended(header: bytes, edits: Edits) -> bytes:
    """Return ``header`` (with its empty line) as it goes on."""
    header = _SECRETS.sub(b"", header)
    if edits.sender:
        header = _SENDER.sub(b"", header)
    if edits.domain:
        domain = edits.domain.encode()
        header = _ADDRESSES.sub(
            lambda found: found[1] + found[2] + completed(found[3], domain), header
        )
    added = b""
    if edits.author:
        added += f"From: {_written(edits.author)}\r\n".encode()
    if edits.sender:
        added += f"Sender: {_written(edits.sender)}\r\n".encode()
    return added + header


def completed(value: bytes, domain: bytes) -> bytes:
    """Return an address list (RFC 5322 §3.4) with ``domain`` behind each local part that has none.

    A local part alone is one word, bare or in angle brackets: ``anna`` and ``Anna <anna>`` are
    addresses, ``Anna Berg`` is none. Everything else stays octet for octet.
    """
    if not domain:
        return value
    reader = _Reader()
    at = 0
    while match := _TOKEN.match(value, at):
        at = match.end()
        if match[0] == b"(":
            at = _comment_end(value, at)
        elif match.lastgroup == "special":
            reader.special(match[0])
        elif match.lastgroup == "word":
            reader.word(match[0], at)
    reader.end()
    result, at = bytearray(), 0
    for end in reader.ends:
        result += value[at:end] + b"@" + domain
        at = end
    return bytes(result + value[at:])


class _Reader:
    """Reads one address list.

    Attributes:
        ends: Where the local parts without a domain end.
    """

    def __init__(self) -> None:
        self.ends: list[int] = []
        self._words = 0  # of the phrase, or of the address
        self._end = 0  # of the last of them
        self._is_whole = False  # an "@" was seen, or the address is behind us
        self._in_brackets = False

    def word(self, word: bytes, end: int) -> None:
        # An encoded word (RFC 2047 §2), a literal, an open quotation is no local part.
        self._words += 1 if _LOCAL.fullmatch(word) else 2
        self._end = end

    def special(self, char: bytes) -> None:
        if char == b"<":
            self._begin(in_brackets=True)
        elif char == b">":
            self.end()
            self._is_whole = True
        elif char == b"@":
            self._is_whole = True
        elif char == b":":
            self._words = 0  # the name of a group, or a source route
        elif char in b",;" and not self._in_brackets:
            self.end()

    def end(self) -> None:
        """The address is complete."""
        if self._words == 1 and not self._is_whole:
            self.ends.append(self._end)
        self._begin(in_brackets=False)

    def _begin(self, *, in_brackets: bool) -> None:
        self._words, self._is_whole, self._in_brackets = 0, False, in_brackets


def _comment_end(value: bytes, at: int) -> int:
    """Return where the comment that begins before ``at`` ends; they nest (RFC 5322 §3.2.2)."""
    depth = 1
    while depth and (match := _IN_COMMENT.match(value, at)):
        depth += (match[0] == b"(") - (match[0] == b")")
        at = match.end()
    return at


def _addresses(fields: list[bytes]) -> tuple[str, ...]:
    found = (one for value in fields for one in parse_addresses(unfold(value)))
    return tuple(_text(one) for one in found if one.local is not None and one.host is not None)


def _text(mailbox: Mailbox) -> str:
    """Return an address as it would stand in an envelope: its local part quoted if need be."""
    local = (mailbox.local or b"")[:_MORE_THAN_ENOUGH].decode("utf-8", "replace")
    domain = (mailbox.host or b"")[:_MORE_THAN_ENOUGH].decode("utf-8", "replace")
    try:
        return str(parse_address(f"{local}@{domain}"))
    except BadAddress:
        return '"' + _SPECIAL.sub(r"\\\g<0>", local) + f'"@{domain}'


def _written(address: str) -> str:
    """Return ``address`` as it may stand in a field: what it could break out with is gone."""
    return str(parse_address(address))
