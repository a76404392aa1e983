"""Traits of a page of HTML: what a reader does not see of it, and spammers like. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from posthouse.bayes.words import host_tokens

MAX_LINKS = 100
_TAG = re.compile(r"<([a-z]{1,12})")
_LINK = re.compile(r"//([^\s\"'<>/?#\\()]{1,255})")
_SCHEMES: Final = ("data:", "cid:", "javascript:", "mailto:")
_TOLD: Final = frozenset({"form", "input", "script", "iframe", "object", "embed", "img", "table",
                          "style", "font", "center", "marquee", "blink", "base", "meta", "link",
                          "button", "svg", "video", "map", "area"})  # fmt: skip
_HIDDEN = (
    re.compile(r"display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden"),
    re.compile(r"font-size\s{0,3}:\s{0,3}[01](?:px|pt|%|;|\")"),
    re.compile(r"color\s{0,3}[:=]\s{0,3}[\"']?(?:#f{3}(?:f{3})?\b|white)"),
)


def page_tokens(page: str, shown: str) -> Iterator[str]:
    """Yield the traits of ``page``, of which a reader sees the text ``shown``."""
    low = page.lower()
    yield from (f"h:{name}" for name in _TOLD.intersection(_TAG.findall(low)))
    yield from (f"h:{scheme}" for scheme in _SCHEMES if scheme in low)
    if any(each.search(low) for each in _HIDDEN):
        yield "h:hidden"
    # How much of it is text, in steps of halves: a picture with a link has next to none.
    yield f"h:text {(len(page) // (len(shown.strip()) + 1)).bit_length()}"
    hosts = dict.fromkeys(found[1] for found in islice(_LINK.finditer(low), MAX_LINKS))
    for host in hosts:
        yield from host_tokens(host)
