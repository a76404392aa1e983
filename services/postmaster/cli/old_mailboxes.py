"""What a mailbox is that moves here, whoever kept it until now."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

SEPARATOR = "/"  # between levels, here


class OldMessage(Protocol):
    """One message of another server."""

    @property
    def uid(self) -> int:
        """Its UID there."""
        ...

    @property
    def is_listed(self) -> bool:
        """False if nobody there had given it a UID yet: `uid` is our guess."""
        ...

    @property
    def flags(self) -> tuple[str, ...]:
        """System flags and keywords, as IMAP names them."""
        ...

    @property
    def uidl(self) -> str:
        """Its unique id by POP3; empty if it had none."""
        ...

    @property
    def date(self) -> datetime:
        """When it came (RFC 3501 §2.3.3)."""
        ...

    def octets(self) -> bytes:
        """Return the message as it goes on the wire: every line ends in CRLF."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OldMailbox:
    r"""One mailbox of another server.

    Attributes:
        name: As IMAP shows it, in UTF-8, levels divided by ``/``.
        uidvalidity: Of the server that kept it.
        uidnext: The first UID it has not given.
        messages: By UID.
        is_whole: All that there are; else nobody knows what is there no more.
        uses: ``\Sent`` and so on (RFC 6154 §2).
        acl: Who else may do what, as `identifier_here` names people; not the owner.
    """

    name: str
    uidvalidity: int
    uidnext: int
    messages: Sequence[OldMessage]
    is_whole: bool = True
    uses: tuple[str, ...] = ()
    acl: Mapping[str, str] = field(default_factory=dict)


def identifier_here(name: str, owner: str) -> str:
    """Return how ACLs here call whom another server's call ``name``; empty for the owner.

    Dovecot writes ``user=bert`` and ``group=staff``, by IMAP ``bert`` and ``$staff``, Cyrus
    ``group:staff``. A name without a domain is one of the owner's domain. A ``-`` before it stays.
    """
    minus, bare = ("-", name[1:]) if name.startswith("-") else ("", name)
    bare = bare.lower().removeprefix("user=")
    if bare in ("owner", owner.lower(), owner.lower().partition("@")[0]):
        return ""
    if bare in ("anyone", "anonymous", "authenticated"):
        return f"{minus}anyone"
    group = next((bare[len(p) :] for p in ("group=", "group:", "$") if bare.startswith(p)), None)
    who = bare if group is None else group
    whole = who if "@" in who else f"{who}@{owner.partition('@')[2].lower()}"
    return f"{minus}{whole}" if group is None else f"{minus}group:{whole}"


def from_utf7(name: str) -> str:
    """Return a folder's name from modified UTF-7 (RFC 3501 §5.1.3); one that is none stays."""

    def unshifted(found: re.Match[str]) -> str:
        coded = found[1].replace(",", "/")
        return b64decode(coded + "=" * (-len(coded) % 4)).decode("utf-16-be") if coded else "&"

    try:
        return re.sub("&([A-Za-z0-9+,]*)-", unshifted, name)
    except ValueError:
        return name
