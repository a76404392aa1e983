"""Domains that a message leads to, as lists of domains have them (URIBL, SURBL, DBL). Pure.

    https://a.b.shop.co.test/x ▶ shop.co.test, co.test        www.far.test ▶ far.test

Lists have registered domains, and those of customers below some names. Where a registry's part of a
name ends only a list of all registries tells; we keep none, and ask about the last two labels and
the last three: what no list has costs one negative answer, which the resolver remembers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from unicodedata import normalize
from urllib.parse import unquote

from posthouse.mail.address import is_domain
from posthouse.mail.idn import a_labels

MAX_NAMES = 40  # of one message
_HOST = re.compile(r"(?i)(?:https?|ftp):[/\\]{1,3}(?:[^\s/\\?#@]{0,256}@)?([^\s/\\?#:@]{1,255})")
_MAILTO = re.compile(r"(?i)mailto:[^\s?@]{1,256}@([^\s?,;&]{1,255})")
_DOTS = dict.fromkeys(
    map(ord, "\N{IDEOGRAPHIC FULL STOP}\N{HALFWIDTH IDEOGRAPHIC FULL STOP}"), "."
) | {ord("\N{SOFT HYPHEN}"): None}
_LABELS = (3, 2)


def hosts_in(links: bytes) -> Iterator[str]:
    """Yield the hosts of links, a line each; a link within a link counts as one, too."""
    text = links.decode("utf-8", "replace")
    for line in text.splitlines():
        plain = unquote(line) if "%" in line else line
        for found in (*_HOST.finditer(plain), *_MAILTO.finditer(plain)):
            yield found[1]


def names_of(hosts: Iterable[str], seed: bytes) -> tuple[str, ...]:
    """Return the names that lists are asked about, `MAX_NAMES` at most.

    Of more those are taken that ``seed`` chooses, which no sender knows: nobody hides a link behind
    forty others.
    """
    found = dict.fromkeys(name for host in hosts for name in _names(host))
    if len(found) <= MAX_NAMES:
        return tuple(found)
    return tuple(sorted(found, key=lambda name: _rank(name, seed))[:MAX_NAMES])


def _names(host: str) -> Iterator[str]:
    mapped = normalize("NFKC", host).translate(_DOTS)  # as browsers do (UTS #46)
    name = a_labels(mapped.lower().removesuffix(".")).removeprefix("www.")
    labels = name.split(".")
    if not name.isascii() or not is_domain(name) or labels[-1].isdigit():
        return  # an address, or nothing that can be asked
    for count in _LABELS:
        if len(labels) >= count:
            yield ".".join(labels[-count:])


def _rank(name: str, seed: bytes) -> bytes:
    return blake2b(name.encode(), key=seed[:64], digest_size=8).digest()
