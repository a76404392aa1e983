"""What a reader sees of a page of HTML. Pure; rubbish costs no more than once its length."""

from __future__ import annotations

import html
import re
from typing import Final

_INLINE: Final = (
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|nobr|o:p|q|s|samp|small|span|strike"
    "|strong|sub|sup|tt|u|var|wbr"
)
# A tag never reaches over a "<". Those within a line cut no word in two.
_WITHIN = re.compile(rf"</?(?:{_INLINE})(?:[\s/][^<>]*)?>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_UNSEEN = re.compile(r"<!--|<(?:style|script)\b", re.IGNORECASE)
_UNSEEN_END = re.compile(r"</(?:style|script)[^<>]*>", re.IGNORECASE)
_CHARSET = re.compile(
    rb"<meta\s[^<>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([\w:.-]{1,40})", re.IGNORECASE
)
_HEAD_OCTETS = 2048


def visible(page: str) -> str:
    """Return what a reader sees of a page of HTML: no comments, styles, scripts, tags."""
    pieces, at = [], 0
    while hidden := _UNSEEN.search(page, at):
        pieces.append(page[at : hidden.start()])
        if hidden[0] == "<!--":
            end = page.find("-->", hidden.end())
            at = end + len("-->") if end >= 0 else len(page)
        else:
            close = _UNSEEN_END.search(page, hidden.end())
            at = close.end() if close else len(page)
    text = _TAG.sub(" ", _WITHIN.sub("", " ".join([*pieces, page[at:]])))
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text


def charset_within(page: bytes) -> bytes:
    """Return the charset that a page names itself; empty if it names none."""
    found = _CHARSET.search(page[:_HEAD_OCTETS])
    return found[1] if found else b""
