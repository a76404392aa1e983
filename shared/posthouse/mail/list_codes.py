"""Return codes of lists in DNS: which answers count, and for how much (RFC 5782 §2.3). Pure.

    codes  = code *( ( SP / "," ) code )
    code   = ( octets / "&" mask ) [ "=" points ]
    octets = *2( octet "." ) octet
    octet  = "*" / number [ "-" number ]

``2=3 4-7=2`` are the last octets of 127.0.0.2 and so on, ``1.2-99`` is 127.0.1.2 and so on, ``*.3``
127.0.0.3 to 127.0.255.3; ``&16=1.5`` a bit of the last three octets (§2.3: lists that answer by bits).
Each code counts once, however many answers it is in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

MAX_CODES = 64
MAX_CHARACTERS = 500
_OCTET = r"(?:\*|\d{1,3}(?:-\d{1,3})?)"
_CODE = re.compile(
    rf"(?:({_OCTET}(?:\.{_OCTET}){{0,2}})|&(\d{{1,8}}))(?:=([+-]?\d{{1,4}}(?:\.\d{{1,3}})?))?"
)
_BETWEEN = re.compile(r"[ ,]+")
_MAX_OCTET = 255
_MAX_MASK = 0xFFFFFF
_NOTHING = (0, 0)
_ALL = (0, _MAX_OCTET)
_LISTED = IPv4Network("127.0.0.0/8")  # RFC 5782 §2.1
# What lists answer who asks too much, through a resolver that many share, or for what they do not
# have: Spamhaus 127.255.255.x and 127.0.1.255, URIBL and SURBL 127.0.0.1, DNSWL 127.0.0.255.
_NO_ANSWERS = tuple(
    IPv4Network(each)
    for each in ("127.255.255.0/24", "127.0.0.1/32", "127.0.0.255/32", "127.0.1.255/32")
)


@dataclass(frozen=True, slots=True)
class Code:
    """One code.

    Attributes:
        octets: The lowest and highest of each of the last three octets.
        mask: Bits of the last three octets, of which one must be set; 0: the octets count.
        points: What it counts; None: what the zone counts.
    """

    octets: tuple[tuple[int, int], ...]
    mask: int
    points: float | None

    def matches(self, answer: IPv4Address) -> bool:
        """True if ``answer`` says this."""
        if self.mask:
            return bool(int(answer) & _MAX_MASK & self.mask)
        pairs = zip(self.octets, answer.packed[1:], strict=True)
        return all(low <= octet <= high for (low, high), octet in pairs)


@dataclass(frozen=True, slots=True)
class Listed:
    """What the answers of one zone come to.

    Attributes:
        points: Their sum; 0 if nothing counts.
        answers: Those that count.
        fault: Why answers are none; empty if all is well.
    """

    points: float = 0.0
    answers: tuple[str, ...] = ()
    fault: str = ""


@lru_cache(maxsize=256)
def parse_codes(text: str) -> tuple[Code, ...]:
    """Read codes; raise `ValueError`, in words."""
    words = [word for word in _BETWEEN.split(text) if word]
    if len(words) > MAX_CODES:
        raise ValueError(f"there are more than {MAX_CODES} codes")
    return tuple(map(_code, words))


def listed(records: Iterable[str], codes: tuple[Code, ...], weight: float) -> Listed:
    """Return what the A records of an answer come to, in a zone that counts ``weight``."""
    answers = [IPv4Address(record) for record in records]
    for answer in answers:
        if answer not in _LISTED:
            return Listed(fault=f"answered {answer}, which is no answer of a list")
        if any(answer in network for network in _NO_ANSWERS):
            return Listed(fault=f"answered {answer}: it does not serve our name server")
    if not answers:
        return Listed()
    if not codes:
        return Listed(weight, tuple(map(str, answers)))
    points, seen = 0.0, []
    for code in codes:
        found = [str(answer) for answer in answers if code.matches(answer)]
        if found:
            points += weight if code.points is None else code.points
            seen += found
    return Listed(points, tuple(dict.fromkeys(seen)))


def _code(word: str) -> Code:
    found = _CODE.fullmatch(word)
    if not found:
        raise ValueError(f"{word} is no return code, as in 2=3, 4-7=2, 1.2-99 or &16=1.5")
    octets, mask, points = found.groups()
    pairs = [_pair(each) for each in octets.split(".")] if octets else []
    code = Code(
        octets=(*[_NOTHING] * (3 - len(pairs)), *pairs),
        mask=int(mask or 0),
        points=float(points) if points else None,
    )
    if code.mask > _MAX_MASK or not all(low <= high <= _MAX_OCTET for low, high in code.octets):
        raise ValueError(f"{word} is out of range")
    if mask is not None and not code.mask:
        raise ValueError(f"{word} has no bit")
    return code


def _pair(octet: str) -> tuple[int, int]:
    if octet == "*":
        return _ALL
    low, _, high = octet.partition("-")
    return int(low), int(high or low)
