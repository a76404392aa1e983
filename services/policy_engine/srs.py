"""The Sender Rewriting Scheme: a way back for bounces of forwarded mail. Pure.

Mail that we send on to the outside for its recipient cannot keep its sender: the sender's domain
has not allowed our servers (RFC 7208). So the sender becomes an address of the forwarding domain
that says, signed, who it was:

    SRS0=<hash>=<day>=<domain>=<local part>@ours               bert@far.test forwards here
    SRS1=<hash>=<first forwarder>==<its SRS0 without the tag>@ours    it was forwarded before

A bounce to such an address is sent back to the one it names, if the signature is ours and not
older than `VALID_DAYS`. Case is not signed, since servers on the way may change it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import date

from posthouse.mail.address import MAX_LOCAL_PART_OCTETS, Address, BadAddress, parse_address

VALID_DAYS = 21  # longer than any retry and the report on it
_HASH_CHARACTERS = 8  # 40 bits of HMAC-SHA256
_DAYS = 1024  # two base32 digits
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_SRS0 = re.compile(r"(?i)SRS0[=+-]([^=]+)=([a-z2-7]{2})=([^=]+)=(.+)")
_SRS1 = re.compile(r"(?i)SRS1[=+-]([^=]+)=([^=]+)=(=.+|[+-].+)")


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Rewrites senders under one secret, which all pods share.

    Attributes:
        secret: The key of the signatures.
    """

    secret: bytes

    def forward(self, sender: Address, domain: str, today: date) -> str | None:
        """Return ``sender`` as an address of ``domain``; None if that would be too long."""
        local = self._forwarded(sender, today)
        if len(local.encode()) > MAX_LOCAL_PART_OCTETS:
            return None
        try:
            return str(parse_address(f"{local}@{domain}"))
        except BadAddress:  # a quoted local part
            return None

    def reverse(self, address: Address, today: date) -> str | None:
        """Return whom a bounce to ``address`` is for; None if it is not one of our rewritings."""
        again = _SRS1.fullmatch(address.local)
        if again is not None:
            signature, host, rest = again.groups()
            if not self._is_ours(signature, host, rest):
                return None
            return _parsed(f"SRS0{rest}@{host}")
        first = _SRS0.fullmatch(address.local)
        if first is None:
            return None
        signature, day, host, local = first.groups()
        if not self._is_ours(signature, day, host, local) or not _is_recent(day, today):
            return None
        return _parsed(f"{local}@{host}")

    def _forwarded(self, sender: Address, today: date) -> str:
        if again := _SRS1.fullmatch(sender.local):
            _, host, rest = again.groups()
            return f"SRS1={self._sign(host, rest)}={host}={rest}"
        if re.match(r"(?i)SRS0[=+-]", sender.local):
            host, rest = sender.domain, sender.local[4:]
            return f"SRS1={self._sign(host, rest)}={host}={rest}"
        day = _day(today)
        signature = self._sign(day, sender.domain, sender.local)
        return f"SRS0={signature}={day}={sender.domain}={sender.local}"

    def _sign(self, *parts: str) -> str:
        text = "=".join(parts).lower().encode()
        digest = hmac.digest(self.secret, text, hashlib.sha256)
        return base64.b32encode(digest).decode().lower()[:_HASH_CHARACTERS]

    def _is_ours(self, signature: str, *parts: str) -> bool:
        return hmac.compare_digest(signature.lower().encode(), self._sign(*parts).encode())


def looks_rewritten(address: Address) -> bool:
    """True if ``address`` could be a rewriting, ours or another's."""
    return address.local[:4].upper() in {"SRS0", "SRS1"}


def _day(today: date) -> str:
    number = today.toordinal() % _DAYS
    return _DIGITS[number // len(_DIGITS)] + _DIGITS[number % len(_DIGITS)]


def _is_recent(day: str, today: date) -> bool:
    then = _DIGITS.index(day[0].lower()) * len(_DIGITS) + _DIGITS.index(day[1].lower())
    return (today.toordinal() - then) % _DAYS <= VALID_DAYS


def _parsed(text: str) -> str | None:
    try:
        return str(parse_address(text))
    except BadAddress:
        return None
