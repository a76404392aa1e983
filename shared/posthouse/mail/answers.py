"""What DNS answers: found, empty, or temporarily unknown (RFC 1035, RFC 2308). Pure.

"There is no such name" and "nobody could tell me" lead to different ends: the one is a verdict, the
other waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """There are records; never empty.

    Attributes:
        authentic: DNSSEC proves them, as name servers say that we believe (RFC 4035 §3.2.3).
        canonical: The name at the end of all aliases, whose records these are.
    """

    records: tuple[T, ...]
    authentic: bool = False
    canonical: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Empty:
    """There are none, for certain.

    Attributes:
        exists: The name exists and has other records (NODATA); False for NXDOMAIN or for a text
            that cannot be a domain name.
    """

    exists: bool


@dataclass(frozen=True, slots=True)
class Temporary:
    """Nobody could tell: SERVFAIL, a timeout, a broken delegation. Ask again later.

    Attributes:
        why: For logs and for the reply text.
    """

    why: str


Answer: TypeAlias = Found[T] | Empty | Temporary


@dataclass(frozen=True, slots=True, order=True)
class Exchange:
    """One MX record (RFC 5321 §5.1).

    Attributes:
        preference: Lower is tried first.
        host: Lower case, without the final dot; empty for the null MX (RFC 7505 §3).
    """

    preference: int
    host: str
