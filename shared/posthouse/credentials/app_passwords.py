"""App passwords: made by us for one device each, shown once; pure but for their chance.

They are 100 random bits, so that a plain digest of one tells nothing: it needs no slow hash, and an
account may have many. They serve where the password itself is said (PLAIN, LOGIN).
"""

from __future__ import annotations

import hashlib
import re
import secrets

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 without what is read wrong: l, o, 0, 1
_GROUPS = 4
_GROUP = 5  # characters of five bits
_SHAPE = re.compile(rf"[{_ALPHABET}]{{{_GROUPS * _GROUP}}}")


def make() -> str:
    """Return a new one, in groups that can be typed."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def digest(text: str) -> bytes | None:
    """Return the digest under which it is kept; None if ``text`` has not the shape of one.

    Hyphens and spaces between the groups do not count, and neither does case.
    """
    plain = text.replace("-", "").replace(" ", "").lower()
    return hashlib.sha256(plain.encode()).digest() if _SHAPE.fullmatch(plain) else None
