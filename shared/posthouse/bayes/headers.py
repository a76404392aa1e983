"""Tokens of a header: words with their field, hosts on the way, names of fields. Pure.

Fields that this house or the reader's side wrote after the message was judged say nothing: the same
message has the same tokens when it is judged, when it is moved to Junk and when it is read from a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from posthouse.bayes.words import domains_of, words_of
from posthouse.mime.fields import unfold
from posthouse.mime.text import decode_words

MAX_FIELDS = 200
MAX_VALUE_OCTETS = 2000  # of one field
MAX_HOPS = 6  # Received fields that are read
_MAX_WORDS = 40  # of one field

_SILENT: Final = re.compile(
    rb"(?:x-spam|x-virus|x-bogosity|x-rspamd|arc-|resent-|x-ms-exchange|x-posthouse)|"
    rb"(?:authentication-results|received-spf|dkim-signature|domainkey-signature|return-path|"
    rb"delivered-to|x-original-to|envelope-to|date|status|x-status|x-keywords|x-uid|x-uidl|"
    rb"content-length|lines|x-mozilla-\w+|x-gmail-labels|x-gm-thrid|mime-version)$"
)
_PROSE: Final = {b"subject": "s", b"x-mailer": "x", b"user-agent": "x", b"content-type": "c",
                 b"organization": "o", b"comments": "o", b"keywords": "o"}  # fmt: skip
_PEOPLE: Final = {b"from": "f", b"reply-to": "y", b"sender": "f", b"to": "d", b"cc": "d"}
_ADDRESS = re.compile(r"([^\s<>@,;:\"()]{1,64})@([^\s<>@,;:\"()]{1,255})")
_HOST = re.compile(r"\b(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}\b")
_NETWORK = re.compile(r"\b(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}\b")


def header_tokens(header: bytes) -> Iterator[str]:
    """Yield the tokens of ``header``; some may come twice."""
    hops = 0
    for line in islice(unfold(header).split(b"\n"), MAX_FIELDS):
        name, colon, raw = line.partition(b":")
        key = name.strip().lower()
        if not colon or not key or _SILENT.match(key):
            continue
        value = raw[:MAX_VALUE_OCTETS].strip()
        if key == b"received":
            hops += 1
            if hops <= MAX_HOPS:
                yield from _hop(value.decode("latin-1").lower())
        else:
            yield from _field(key, value)


def subject_words(header: bytes) -> list[str]:
    """Return the words of the first Subject field."""
    for line in islice(unfold(header).split(b"\n"), MAX_FIELDS):
        if line[:8].lower() == b"subject:":
            return words_of(decode_words(line[8:].strip()[:MAX_VALUE_OCTETS]))
    return []


def _field(key: bytes, value: bytes) -> Iterator[str]:
    if key in _PEOPLE:
        yield from _people(_PEOPLE[key], decode_words(value))
    elif key in _PROSE:
        prefix = _PROSE[key]
        yield from (f"{prefix}:{word}" for word in words_of(decode_words(value))[:_MAX_WORDS])
    elif key == b"message-id":
        host = value.decode("latin-1").lower().rpartition("@")[2].strip(" <>")
        yield from (f"i:{domain}" for domain in domains_of(host))
    elif key in {b"list-id", b"x-priority", b"precedence"}:
        yield f"{key.decode('ascii')}:{value[:200].decode('latin-1').lower()}"
    else:
        yield f"n:{key[:60].decode('latin-1')}"


def _people(prefix: str, text: str) -> Iterator[str]:
    low = text.lower()
    for found in islice(_ADDRESS.finditer(low), _MAX_WORDS):
        yield f"{prefix}:{found[0]}"
        yield f"{prefix}:@{found[2]}"
    yield from (f"{prefix}:{word}" for word in words_of(_ADDRESS.sub(" ", low))[:_MAX_WORDS])


def _hop(text: str) -> Iterator[str]:
    came = text.partition(" by ")[0]  # where from; who took it is the same for all
    for host in islice(_HOST.findall(came), 3):
        yield from (f"r:{domain}" for domain in domains_of(host))
    yield from (f"r:{network}" for network in islice(_NETWORK.findall(came), 2))
