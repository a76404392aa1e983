"""Hygiene: what a message must keep to before it is taken, looked at while it comes in. Pure.

An `Inspection` sees the content in portions of any size, without its doubled dots, and hands each
back as it is to be kept. It holds the header, which is bounded, and never the body; when the last
portion was seen, `Inspection.finish` says what is wrong.

Where the end of a message is, `framing` has decided before: a bare line end that is mended here
can no longer end anything, and whoever sends the message on doubles its dots again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from ingress_smtp.stamps import separator
from posthouse.mail.header import CRLF, fields, unfold
from posthouse.telemetry.metrics import counter

Choice: TypeAlias = Literal["reject", "accept"]

_EMPTY_LINE = b"\r\n\r\n"
_SEEN = counter(
    "posthouse_ingress_hygiene_total", "Messages that broke a rule of form.", "rule", "outcome"
)
# RFC 5322 §4.5.8 lets white space stand before the colon.
_ANY_FIELD = re.compile(rb"(?m)^[!-9;-~]+[ \t]*:")
_FROM = re.compile(rb"(?im)^from[ \t]*:")
_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is taken.

    Attributes:
        bare_line_ends: ``reject``, or ``normalise``: a bare LF becomes a line end, a bare CR a
            space (RFC 5321 §2.3.8).
        nul_octets: ``reject``, or ``remove`` them (RFC 5322 §4).
        line_octets_max: In a line, without its end; RFC 5321 §4.5.3.1.6 asks 998.
        header_octets_max: In all of the header.
        header_fields_max: Fields in it.
        hops_max: Received fields in it; more are a loop (RFC 5321 §6.3).
        eight_bit_header: Octets over 127 in it without 8BITMIME or SMTPUTF8 (RFC 6532 §3.2).
        several_from: More than one From field (RFC 5322 §3.6).
        delivered_to: All recipients stand in Delivered-To fields: they have had it, it loops.
    """

    bare_line_ends: Literal["reject", "normalise"] = "reject"
    nul_octets: Literal["reject", "remove"] = "reject"
    line_octets_max: int = 65_536
    header_octets_max: int = 512 * 1024
    header_fields_max: int = 1000
    hops_max: int = 50
    eight_bit_header: Choice = "accept"
    several_from: Choice = "reject"
    delivered_to: Choice = "reject"


class Inspection:
    """Looks at one message.

    Attributes:
        octets: How many are to be kept so far.
        objection: Why the message cannot be taken, None so far; the first reason counts.
        is_past_header: The whole header was seen; the rest is body.
    """

    def __init__(self, rules: Rules, *, limit: int, is_binary: bool = False) -> None:
        """Expect at most ``limit`` octets; of a binary body (RFC 3030 §3) lines are not judged."""
        self.octets = 0
        self.objection: Reply | None = None
        self._rules = rules
        self._limit = limit
        self._is_binary = is_binary
        self._header = bytearray()
        self.is_past_header = False
        self._held = b""  # a CR at the end of a portion: what it is, the next one tells
        self._line_octets = 0  # of the line that no end was seen of
        self._mended: set[str] = set()

    @property
    def header(self) -> bytes:
        """The header with its empty line, as far as it has come; empty if it is too large."""
        return bytes(self._header)

    def see(self, portion: bytes) -> bytes:
        """Look at the next octets; return those that are to be kept of it and of those before."""
        self._fit(len(portion))  # too large is said before what else is wrong
        return self._keep(portion if self._is_binary else self._as_lines(portion))

    def rest(self) -> bytes:
        """Return what is still to be kept after the last portion was seen: none but for a CR."""
        held, self._held = self._held, b""
        return self._keep(self._without_bare(held)) if held else b""

    def finish(self, *, recipients: Collection[str], declared: bool) -> Reply | None:
        """Return why the message cannot be taken, None if it can; count it if not.

        Args:
            recipients: Of this transaction.
            declared: The client said 8BITMIME or SMTPUTF8.
        """
        self._end_header()
        if self.objection is None:
            for flaw in _flaws(self.header, self._rules, recipients, declared=declared):
                self._refuse(*flaw)
        if self.objection is None:
            for rule in self._mended:
                _SEEN.labels(rule, "mended").inc()
        return self.objection

    def _refuse(self, rule: str, reply: Reply) -> None:
        if self.objection is None:
            self.objection = reply
            _SEEN.labels(rule, "refused").inc()

    def _fit(self, more: int) -> None:
        if self.octets + more > self._limit:
            self._refuse("size", replies.TOO_LARGE)

    def _keep(self, octets: bytes) -> bytes:
        self._fit(len(octets))
        self.octets += len(octets)
        if not self.is_past_header:
            self._gather(octets)
        return octets

    def _as_lines(self, portion: bytes) -> bytes:
        octets = self._held + portion if self._held else portion
        if b"\0" in octets:
            octets = self._without_nul(octets)
        self._held = b""
        if octets.endswith(b"\r"):
            octets, self._held = octets[:-1], b"\r"
        bare = octets.replace(CRLF, b"..")  # of equal length: half as dear as counting them
        if b"\r" in bare or b"\n" in bare:
            octets = self._without_bare(octets)
        self._measure_lines(octets)
        return octets

    def _without_nul(self, octets: bytes) -> bytes:
        if self._rules.nul_octets == "reject":
            self._refuse("nul_octets", replies.NUL_OCTET)
            return octets
        self._mended.add("nul_octets")
        return octets.replace(b"\0", b"")

    def _without_bare(self, octets: bytes) -> bytes:
        if self._rules.bare_line_ends == "reject":
            self._refuse("bare_line_ends", replies.BARE_CR_OR_LF)
            return octets
        self._mended.add("bare_line_ends")
        return octets.replace(CRLF, b"\n").replace(b"\r", b" ").replace(b"\n", CRLF)

    def _measure_lines(self, octets: bytes) -> None:
        """Look for a line that is too long, at only one line end per length of the longest."""
        most = self._rules.line_octets_max + len(CRLF)
        start = -self._line_octets
        while len(octets) - start > most:
            end = octets.rfind(b"\n", max(start, 0), start + most)
            if end < 0:
                self._refuse("line_octets", replies.long_text_line(most - len(CRLF)))
                break
            start = end + 1
        last = octets.rfind(b"\n")
        self._line_octets = len(octets) - last - 1 + (self._line_octets if last < 0 else 0)

    def _gather(self, octets: bytes) -> None:
        """Add to the header up to its empty line; a header is never held beyond its limit."""
        known = len(self._header)
        most = self._rules.header_octets_max
        self._header += octets[: most + len(_EMPTY_LINE) - known]
        if self._header.startswith(CRLF):
            at, end = 0, len(CRLF)
        else:
            at = self._header.find(_EMPTY_LINE, max(0, known - len(_EMPTY_LINE) + 1))
            end = at + len(_EMPTY_LINE) if at >= 0 else len(self._header)
        self.is_past_header = at >= 0
        del self._header[end:]
        if end > most:
            self._end_header()
            if self._header:
                self._header.clear()
                self._refuse("header_octets", replies.HEADER_TOO_LARGE)

    def _end_header(self) -> None:
        """What does not begin with a field is all body."""
        self.is_past_header = True
        if separator(bytes(self._header)):
            self._header.clear()


def _flaws(
    header: bytes, rules: Rules, recipients: Collection[str], *, declared: bool
) -> Iterator[tuple[str, Reply]]:
    """Yield the rules that ``header`` breaks, the heaviest first, and what is said of them."""
    if header.count(b"\n") > rules.header_fields_max < _count(_ANY_FIELD, header):
        yield "header_fields", replies.TOO_MANY_FIELDS
    lower = b"\n" + header.lower()
    if lower.count(b"\nreceived") > rules.hops_max < _count(_RECEIVED, header):
        yield "hops", replies.LOOPING
    if (
        rules.delivered_to == "reject"
        and b"\ndelivered-to" in lower
        and _had_it(header, recipients)
    ):
        yield "delivered_to", replies.HAD_IT
    if rules.several_from == "reject" and lower.count(b"\nfrom") > 1 < _count(_FROM, header):
        yield "several_from", replies.SEVERAL_FROM
    if rules.eight_bit_header == "reject" and not declared and not header.isascii():
        yield "eight_bit_header", replies.EIGHT_BIT_HEADER


def _count(pattern: re.Pattern[bytes], header: bytes) -> int:
    return len(pattern.findall(header))


def _had_it(header: bytes, recipients: Collection[str]) -> bool:
    """True if every one of ``recipients`` stands in a Delivered-To field."""
    had = {
        unfold(value).strip(b"<>").lower()
        for name, value in fields(header)
        if name.lower() == b"delivered-to"
    }
    return all(recipient.lower().encode() in had for recipient in recipients)
