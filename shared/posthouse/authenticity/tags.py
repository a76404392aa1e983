"""Tag lists: ``v=1; a=rsa-sha256; ...`` (RFC 6376 §3.2), as DKIM, ARC and DMARC write them."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SPACE = re.compile(r"[ \t\r\n]+")


class BadTags(ValueError):
    """The text is no tag list."""


def parse_tags(text: str) -> dict[str, str]:
    """Return the values by tag, in their order, with the white space around them removed.

    Names are kept as they stand: they are case-sensitive. Raises `BadTags`, also for a tag that
    stands there twice.
    """
    parts = text.split(";")
    if not parts[-1].strip():
        parts.pop()  # the last semicolon is optional
    tags: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(" \t\r\n")
        if not equals or not _NAME.fullmatch(name):
            raise BadTags(f"not a tag: {part.strip()[:40]}")
        if name in tags:
            raise BadTags(f"{name} stands there twice")
        tags[name] = value.strip(" \t\r\n")
    return tags


def solid(value: str) -> str:
    """Return ``value`` without its white space, as base64 and lists may be folded (§3.2)."""
    return _SPACE.sub("", value)


def words(value: str) -> tuple[str, ...]:
    """Return the words of a list with colons (§3.2), without the white space around them."""
    return tuple(word.strip(" \t\r\n") for word in value.split(":"))
