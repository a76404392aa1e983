r"""Tokenizing: a message as the set of numbers that the classifier counts. Pure.

    header ── fields ───────────▶ "s:meeting" "f:@a.test" "r:192.0.2" "n:list-unsubscribe"
    body ──── text parts ───────▶ words, pairs of words, "u:shop.test", "t:money"
         \─── HTML ─────────────▶ what is seen of it as above; "h:img" "h:hidden", links
         \─── other parts ──────▶ "p:application/zip", "e:exe"

Any octets are read, in linear time; only the first `MAX_OCTETS` of a message are looked at, and no
message has more than `MAX_TOKENS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Final

from posthouse.bayes.headers import header_tokens, subject_words
from posthouse.bayes.hypertext import page_tokens
from posthouse.bayes.numbers import pair_numbers, word_number
from posthouse.bayes.words import numbers_of, shouting
from posthouse.mail.header import header_end
from posthouse.mime.charsets import decode
from posthouse.mime.fields import pick
from posthouse.mime.hypertext import charset_within, visible
from posthouse.mime.structure import TEXT, Entity, leaves_of, read_tree
from posthouse.mime.text import decoded_body

MAX_OCTETS = 256 * 1024  # of a message
MAX_TEXT = 64 * 1024  # characters of decoded text
MAX_PARTS = 100
MAX_MARKS = 400  # tokens of header, addresses, traits
MAX_WORDS = 700  # different ones
MAX_PAIRS = 500
MAX_TOKENS: Final = MAX_MARKS + MAX_WORDS + MAX_PAIRS
DIGEST_OCTETS = 16

_NAME = re.compile(rb"name\*?\d?\*?=\"?[^\";\r\n]{0,200}\.([A-Za-z0-9]{1,8})\b", re.IGNORECASE)
_IDENTITY: Final = frozenset({b"message-id", b"date", b"from", b"subject"})


@dataclass(slots=True)
class _Gathered:
    """What was found so far; ``left`` characters of text may still be read."""

    pieces: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    left: int = MAX_TEXT


def tokens_of(octets: bytes, tree: Entity | None = None) -> tuple[int, ...]:
    """Return the tokens of a message, each once.

    ``tree`` is that of its first `MAX_OCTETS`, if somebody has read it already.
    """
    octets = octets[:MAX_OCTETS]
    end = header_end(octets)
    header = octets[:end]
    found = _Gathered(marks=list(islice(header_tokens(header), MAX_MARKS)))
    for part in islice(leaves_of(tree or read_tree(octets)), MAX_PARTS):
        _read_part(octets, part, found)
    different = dict.fromkeys(found.pieces)
    found.marks += shouting(list(different))
    tokens = dict.fromkeys(map(word_number, islice(dict.fromkeys(found.marks), MAX_MARKS)))
    words = dict.fromkeys(numbers_of(different))
    tokens.update(dict.fromkeys(islice(words, MAX_WORDS)))
    for run in (map(word_number, subject_words(header)), numbers_of(found.pieces)):
        tokens.update(dict.fromkeys(pair_numbers(islice(run, MAX_PAIRS // 2))))
    return tuple(tokens)


def digest_of(octets: bytes) -> bytes:
    """Return what tells a message from all others, however it came to us.

    Fields that were written on its way, and line ends, do not count.
    """
    octets = octets[:MAX_OCTETS]
    end = header_end(octets)
    told = pick(octets[:end], _IDENTITY)
    sum_ = blake2b(digest_size=DIGEST_OCTETS)
    for name in sorted(told):
        sum_.update(b"%b:%b\n" % (name, b"\0".join(told[name])))
    # Less than what is always there, whatever the length of the header and of line ends.
    sum_.update(octets[end:].replace(b"\r", b"")[: MAX_OCTETS // 4].rstrip(b"\n"))
    return sum_.digest()


def _read_part(octets: bytes, part: Entity, found: _Gathered) -> None:
    found.marks.append(f"p:{part.type.value[:60].decode('latin-1')}")
    if part.kind == TEXT:
        _read_text(octets, part, found)
        return
    name = _NAME.search(octets[part.start : part.body][:4096])
    if name:
        found.marks.append(f"e:{name[1].decode('ascii').lower()}")


def _read_text(octets: bytes, part: Entity, found: _Gathered) -> None:
    """Add the words of a text part, and what is special about it."""
    if not found.left:
        return
    raw = octets[part.body : min(part.end, part.body + 4 * found.left)]
    encoding = part.fields.get(b"content-transfer-encoding", [b""])[0].strip().lower()
    body = decoded_body(raw, encoding)[: 4 * found.left]
    charset = part.type.get(b"charset")
    if part.type.value == b"text/html":
        page = decode(body, charset or charset_within(body))
        text = visible(page)[: found.left]
        found.marks += page_tokens(page, text)
    else:
        text = decode(body, charset)[: found.left]
    found.left -= len(text)
    found.pieces += text.split()
