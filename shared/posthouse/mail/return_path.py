"""Return paths that say, signed, which message they are of, so that its bounces find back. Pure.

    anna+<tag>@example.test                  signed: one for all recipients of a message
    anna+<tag>+bert=far.test@example.test    VERP: one for each recipient, as Postfix writes it
    anna+<tag>+7@example.test                the same where that would be too long: its number

The tag is the message's id and a signature over all of the address. What comes back to such an
address belongs to that message and, with VERP, to that recipient, whatever the bounce itself says;
who has not seen the address cannot make one up. It is below the sender's own address (plus
addressing), so it is delivered like any other mail to it. Case is not signed, since servers on the
way may change it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.mail.address import MAX_LOCAL_PART_OCTETS, Address, BadAddress, parse_address
from posthouse.mail.ids import day_of

Style: TypeAlias = Literal["plain", "signed", "verp"]

VALID_DAYS = 60  # complaints come late
# Postfix's default_verp_delimiters. Each may be one of -+=, the second no -, which is in domains.
DELIMITERS = "+="
_ID_CHARACTERS = 26
_HASH_CHARACTERS = 8  # 40 bits of HMAC-SHA256
_TAG = re.compile(  # of ASCII only: without (?a) a long s or a Kelvin sign were letters too
    rf"(?ai)[-+=]([a-z2-7]{{{_ID_CHARACTERS}}})([a-z2-7]{{{_HASH_CHARACTERS}}})(?![a-z2-7])"
)
_TAIL = re.compile(r"[-+=](?:(\d{1,9})|(.+)[+=]([^+=]+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What one of our return paths says.

    Attributes:
        owner: The sender it stands for.
        id: The message.
        n: The recipient's number in the ledger; None for any of them.
        recipient: The recipient's address; empty for any of them, or if its number says it.
    """

    owner: str
    id: UUID
    n: int | None = None
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class ReturnPaths:
    """Makes and reads return paths under one secret, which all pods share.

    Attributes:
        secret: The key of the signatures.
        delimiters: Between the sender and what follows, and for the recipient's @, when written.
    """

    secret: bytes
    delimiters: str = DELIMITERS

    def signed(self, sender: Address, ident: UUID) -> str | None:
        """Return the return path of message ``ident``; None if it would be too long."""
        return self._written(sender, ident, "")

    def verp(self, sender: Address, ident: UUID, n: int, recipient: str) -> str | None:
        """Return the return path for one recipient, number ``n``; None if it would be too long."""
        before, at = self.delimiters[0], self.delimiters[1]
        local, _, domain = recipient.rpartition("@")
        named = f"{before}{local}{at}{domain}" if _is_simple(local, domain) else ""
        return (named and self._written(sender, ident, named)) or self._written(
            sender, ident, f"{before}{n}"
        )

    def read(self, address: Address, today: date) -> Returned | None:
        """Return what ``address`` says if it is one of our return paths, and not too old."""
        for head, ident, signature, tail in _tags(address.local):
            expected = self._sign(head, address.domain, ident, tail)
            if not hmac.compare_digest(signature.lower(), expected):
                continue
            if not -1 <= (today - day_of(ident)).days <= VALID_DAYS:
                return None
            return _returned(f"{head[:-1]}@{address.domain}", ident, tail)
        return None

    def _written(self, sender: Address, ident: UUID, tail: str) -> str | None:
        head = sender.local + self.delimiters[0]
        tag = _base32(ident.bytes) + self._sign(head, sender.domain, ident, tail)
        local = f"{head}{tag}{tail}"
        if len(local.encode()) > MAX_LOCAL_PART_OCTETS:
            return None
        try:
            return str(parse_address(f"{local}@{sender.domain}"))
        except BadAddress:  # a quoted local part
            return None

    def _sign(self, head: str, domain: str, ident: UUID, tail: str) -> str:
        text = "\0".join((head, domain, ident.hex, tail)).lower().encode()
        return _base32(hmac.digest(self.secret, text, hashlib.sha256))[:_HASH_CHARACTERS]


def needs_return_path(sender: str) -> bool:
    """True if ``sender`` may get a return path of ours: no null path, no rewritten sender (SRS)."""
    return bool(sender) and sender[:4].upper() not in {"SRS0", "SRS1"}


def looks_signed(address: str) -> bool:
    """True if ``address`` could be one of our return paths; cheap, for every mail that comes in."""
    return _TAG.search(address) is not None


def _tags(local: str) -> Iterator[tuple[str, UUID, str, str]]:
    """Yield each way to read a local part as owner with delimiter, id, signature and tail."""
    for found in _TAG.finditer(local):
        padded = found[1].upper() + "=" * 6
        ident = UUID(bytes=base64.b32decode(padded)) if _fits(found[1]) else None
        if ident is not None and found.start():
            yield local[: found.start() + 1], ident, found[2], local[found.end() :]


def _fits(text: str) -> bool:
    """True if base32 says no more than 16 octets: its last two bits are zero (RFC 4648 §6)."""
    return text[-1].lower() in "aeimquy4"


def _returned(owner: str, ident: UUID, tail: str) -> Returned:
    found = _TAIL.fullmatch(tail)
    if found is None:
        return Returned(owner=owner, id=ident)
    number, local, domain = found.groups()
    if number is not None:
        return Returned(owner=owner, id=ident, n=int(number))
    return Returned(owner=owner, id=ident, recipient=f"{local}@{domain}")


def _is_simple(local: str, domain: str) -> bool:
    """True if a recipient can stand in a local part as it is."""
    return f"{local}{domain}".isascii() and '"' not in local and not domain.startswith("[")


def _base32(octets: bytes) -> str:
    return base64.b32encode(octets).decode().rstrip("=").lower()
