"""What a sender asks for besides delivery, as MAIL and RCPT said it (RFC 3461 §4, RFC 8689 §2 ...).

ENVID and ORCPT stay as they came, in xtext and with their case, so that they can be passed on octet
for octet; `decoded` is what a person reads.

Nearly no mail asks for anything: `PLAIN` and `DEFAULT` are shared by all of those, and envelopes
leave them out.
"""

from __future__ import annotations

import re
import sys
from typing import Literal, TypeAlias

import msgspec

Ret: TypeAlias = Literal["", "FULL", "HDRS"]  # RFC 3461 §4.3; empty: it is left to us

NEVER = "NEVER"
CONDITIONS = ("SUCCESS", "FAILURE", "DELAY")  # RFC 3461 §4.1, in the order in which we write them

_XCHAR = re.compile(r"[!-*,-<>-~]")  # RFC 3461 §4
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 §3
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")


class Handling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for a message as a whole.

    Attributes:
        envid: The sender's own name for this sending, as xtext; empty for none.
        ret: How much of the message comes back with a report of failure.
        requiretls: It goes on over verified TLS to servers that promise the same, or not at all.
        hold: Until when it is held before it starts on its way (RFC 4865); empty for not at all.
        by: Until when it must have arrived (RFC 2852); empty for whenever. See `schedule` for both.
    """

    envid: str = ""
    ret: Ret = ""
    requiretls: bool = False
    hold: str = ""
    by: str = ""


class Notify(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the sender wants to be told of one recipient.

    Attributes:
        on: ``NEVER``, or some of `CONDITIONS` with commas between; empty for the usual.
        orcpt: The address that the sender wrote, with its type: ``rfc822;Bob+40example.test``.
    """

    on: str = ""
    orcpt: str = ""

    @property
    def success(self) -> bool:
        """True if the sender wants to hear that the message arrived, or left where none will say."""
        return "SUCCESS" in self.on

    @property
    def failure(self) -> bool:
        """True if the sender is told that the message will never arrive."""
        return not self.on or "FAILURE" in self.on

    @property
    def delay(self) -> bool:
        """True if the sender is told that it takes longer (RFC 3461 §4.1: ours to choose unasked)."""
        return not self.on or "DELAY" in self.on

    def with_delay(self) -> Notify:
        """Return the same for a server that is to tell of delays, unless nothing is to be told."""
        if self.on == NEVER:
            return self
        wanted = {*(self.on or "FAILURE").split(","), "DELAY"}
        return Notify(on=",".join(each for each in CONDITIONS if each in wanted), orcpt=self.orcpt)

    def without_success(self) -> Notify:
        """Return the same for those who stand behind an alias (RFC 3461 §5.2.7.3, c)."""
        if not self.success:
            return self
        rest = ",".join(each for each in self.on.split(",") if each != "SUCCESS")
        return Notify(on=rest or NEVER, orcpt=self.orcpt)


PLAIN = Handling()
DEFAULT = Notify()


def xtext(text: str) -> str:
    """Encode ``text``; what is not ASCII is encoded as its UTF-8 octets (RFC 3461 §4)."""
    return "".join(
        chr(octet) if _XCHAR.fullmatch(chr(octet)) else f"+{octet:02X}" for octet in text.encode()
    )


def decoded(text: str) -> str:
    """Return what ``text`` (xtext) stands for; what it hides stays encoded unless it is printable.

    So no line end and no control gets out that could forge a field of a report.
    """
    return _HEXCHAR.sub(lambda found: _plain(found[0], chr(int(found[1], 16))), text)


def in_ascii(text: str) -> str:
    r"""Write what is not ASCII as ``\x{...}``, for those without SMTPUTF8 (RFC 6533 §3)."""
    return _NOT_ASCII.sub(lambda hit: rf"\x{{{ord(hit[0]):04X}}}", text)


def unescaped(text: str) -> str:
    r"""Write what stands as ``\x{...}`` as it is, unless that is a control or no character."""
    return _ESCAPED.sub(lambda hit: _shown(hit[0], int(hit[1], 16)), text)


def _shown(escaped: str, number: int) -> str:
    character = chr(number) if number <= sys.maxunicode else ""
    return character if character and character.isprintable() else escaped


def _plain(encoded: str, character: str) -> str:
    return character if " " <= character <= "~" else encoded
