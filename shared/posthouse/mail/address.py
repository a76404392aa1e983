"""Mail addresses: parse, compare, and write (RFC 5321 §4.1.2, RFC 6531 §3.3).

Inside the house an address is a ``str`` without angle brackets, as its owner wrote it. Two
addresses are the same mailbox when their `key` is equal: domains never differ by case, and in
our own domains local parts do not either (RFC 5321 §2.4 leaves that to the receiving host).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LOCAL_PART_OCTETS = 64  # RFC 5321 §4.5.3.1.1
MAX_DOMAIN_OCTETS = 255  # RFC 5321 §4.5.3.1.2
MAX_PATH_OCTETS = 256  # RFC 5321 §4.5.3.1.3, angle brackets included
DETAIL_DELIMITER = "+"  # in our own domains (RFC 5233 §1)

# atext of RFC 5322 §3.2.3, widened to UTF-8 by RFC 6531 §3.3 without the controls below U+00A0
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\U0010ffff]"
_DOT_STRING = rf"{_ATEXT}+(?:\.{_ATEXT}+)*"
_QUOTED_STRING = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u00a0-\U0010ffff]|\\[\x20-\x7e])*"'
_LABEL = r"[A-Za-z0-9_\u00a0-\U0010ffff](?:[A-Za-z0-9_\-\u00a0-\U0010ffff]{0,61}[A-Za-z0-9_\u00a0-\U0010ffff])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|(?i:IPv6):[0-9A-Fa-f:.]+)\]"  # RFC 5321 §4.1.3

_MAILBOX = re.compile(
    rf"(?P<local>{_DOT_STRING}|{_QUOTED_STRING})@(?P<domain>{_DOMAIN}|{_LITERAL})"
)
_DOMAIN_ONLY = re.compile(_DOMAIN)
_LOCAL_ONLY = re.compile(rf"{_DOT_STRING}|{_QUOTED_STRING}")


class BadAddress(ValueError):
    """Not a mailbox in the grammar of RFC 5321 §4.1.2."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox.

    Attributes:
        local: The local part as written, quotes included.
        domain: The domain or address literal, lower case.
    """

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> str:
        """The form in which our own mailboxes are looked up: unquoted, case folded."""
        return f"{unquote(self.local).lower()}@{self.domain}"

    @property
    def is_ascii(self) -> bool:
        """False if the address needs SMTPUTF8 (RFC 6531 §3.1)."""
        return self.local.isascii() and self.domain.isascii()

    def detail(self, delimiter: str) -> tuple[str, str]:
        """Split the local part at the first ``delimiter``: base and detail (RFC 5233 §1).

        The detail is empty when there is none; a leading delimiter is no delimiter.
        """
        base, found, detail = (
            unquote(self.local).partition(delimiter) if delimiter else ("", "", "")
        )
        return (base, detail) if found and base else (unquote(self.local), "")


def unquote(local: str) -> str:
    """Return the meaning of a local part: without quotes and backslashes (RFC 5321 §4.1.2)."""
    if not local.startswith('"'):
        return local
    return re.sub(r"\\(.)", r"\1", local[1:-1])


def parse_address(text: str) -> Address:
    """Read a mailbox; raise `BadAddress` if it is none or too long (RFC 5321 §4.5.3.1)."""
    match = _MAILBOX.fullmatch(text)
    if match is None:
        raise BadAddress("not a mailbox")
    local, domain = match["local"], match["domain"]
    if len(local.encode()) > MAX_LOCAL_PART_OCTETS:
        raise BadAddress("local part too long")
    if len(domain.encode()) > MAX_DOMAIN_OCTETS or len(text.encode()) + 2 > MAX_PATH_OCTETS:
        raise BadAddress("path too long")
    return Address(local, domain.lower())


def is_domain(text: str) -> bool:
    """True if ``text`` is a domain name (not an address literal)."""
    return len(text) <= MAX_DOMAIN_OCTETS and _DOMAIN_ONLY.fullmatch(text) is not None


def is_local_part(text: str) -> bool:
    """True if ``text`` is a local part without a domain."""
    return len(text.encode()) <= MAX_LOCAL_PART_OCTETS and _LOCAL_ONLY.fullmatch(text) is not None
