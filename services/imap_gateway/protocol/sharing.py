"""Access control lists (RFC 4314) and quotas (RFC 9208), as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Change(Enum):
    """How SETACL changes rights (RFC 4314 §3.1)."""

    ADD = "+"
    REMOVE = "-"
    REPLACE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAcl:
    """RFC 4314 §3.1; DELETEACL (§3.2) is the replacement by nothing."""

    mailbox: str
    identifier: str
    change: Change
    rights: str


@dataclass(frozen=True, slots=True)
class GetAcl:
    """RFC 4314 §3.3."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class ListRights:
    """RFC 4314 §3.4."""

    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MyRights:
    """RFC 4314 §3.5."""

    mailbox: str


class Resource(Enum):
    """What a quota limits (RFC 9208 §5)."""

    STORAGE = b"STORAGE"  # units of 1024 octets
    MESSAGE = b"MESSAGE"
    MAILBOX = b"MAILBOX"


@dataclass(frozen=True, slots=True)
class GetQuota:
    """RFC 9208 §4.1.1."""

    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    """RFC 9208 §4.1.2."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    """RFC 9208 §4.1.3: limits that are not named are removed."""

    root: str
    limits: Mapping[Resource, int]
