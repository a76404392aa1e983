"""SpamAssassin: spamd by the SPAMC protocol 1.5, REPORT: the score, and the rules with theirs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from policy_engine.content.case import Case
from policy_engine.scanners.addresses import Address
from policy_engine.scanners.scanner import Answer, Pieces
from policy_engine.scanners.scores import findings_of
from policy_engine.scanners.trouble import Broken
from policy_engine.scanners.wire import MAX_ANSWER_OCTETS, Wire, connected
from posthouse.mail.errors import Unavailable

SOLE_RECIPIENT = "recipient"
_EX_TEMPFAIL = {"75", "79"}  # sysexits.h, and EX_TIMEOUT: it is there, and has too much to do
_END = b"\r\n"
_STATUS = re.compile(r"SPAMD/[\d.]+ (?P<code>\d+) (?P<word>\S+)")
_SPAM = re.compile(r"(?P<is>True|Yes|False|No) ; (?P<score>-?[\d.]+) / -?[\d.]+", re.IGNORECASE)
# The report ends in a table; before it stands text that the sender chose. A line of it: the points,
# the rule's name, what it is about.
_TABLE = b"\n---- ---"
_RULE = re.compile(rb"(?m)^[ *]*(-?\d+(?:\.\d+)?) ([A-Za-z_][A-Za-z0-9_]{1,99})(?:[ \r]|$)")


class Spamd:
    """Speaks to spamd."""

    name = "spamd"

    def __init__(self, user: str, weight: float) -> None:
        """Ask as ``user`` (`SOLE_RECIPIENT`: who alone gets it); its scores count ``weight`` times."""
        self._user = user
        self._weight = weight

    async def scan(self, address: Address, case: Case, octets: Pieces) -> Answer:
        """Return what spamd says; see `Dialect`."""
        async with connected(address) as wire:
            head = self._head(case)
            fields, body = await wire.exchange(_send(wire, head, octets), lambda: _answer(wire))
        found = _SPAM.fullmatch(fields.get("spam", ""))
        try:
            score = float(found["score"]) if found else math.nan
        except ValueError:
            score = math.nan
        if found is None or not math.isfinite(score):
            raise Broken("its answer has no score")
        table = body.rpartition(_TABLE)[2]
        rules = [(name.decode(), float(points)) for points, name in _RULE.findall(table)]
        is_spam = found["is"].lower() in {"true", "yes"}
        return Answer(
            verdict="spam" if is_spam else "ham",
            findings=findings_of(self.name, score, rules, self._weight),
        )

    async def probe(self, address: Address) -> None:
        """Ask whether it is there; see `Dialect`."""
        async with connected(address) as wire:
            await wire.send(b"PING SPAMC/1.5\r\n\r\n")
            status = _STATUS.match((await wire.until(_END)).decode("latin-1"))
            if status is None or status["word"] != "PONG":
                raise Broken("this is not spamd")

    def _head(self, case: Case) -> bytes:
        user = self._user
        if user == SOLE_RECIPIENT:
            user = case.recipients[0] if len(case.recipients) == 1 else ""
        asks_as = f"User: {user}\r\n" if user and user.isascii() and user.isprintable() else ""
        return f"REPORT SPAMC/1.5\r\nContent-length: {case.size}\r\n{asks_as}\r\n".encode("ascii")


async def _send(wire: Wire, head: bytes, octets: Pieces) -> None:
    await wire.send(head)
    async for piece in octets():
        await wire.send(piece)


async def _answer(wire: Wire) -> tuple[Mapping[str, str], bytes]:
    status = _STATUS.match((await wire.until(_END)).decode("latin-1"))
    if status is None:
        raise Broken("this is not spamd")
    if status["code"] in _EX_TEMPFAIL:
        raise Broken(f"it says {status['code']} {status['word']}")
    if status["code"] != "0":
        raise Unavailable("spamd cannot scan this message", detail=f"spamd says: {status[0]}")
    fields = {}
    for line in (await wire.until(_END + _END)).decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    body = await wire.reader.read(MAX_ANSWER_OCTETS) if _length(fields) else b""
    while len(body) < _length(fields):
        more = await wire.reader.read(MAX_ANSWER_OCTETS)
        if not more:
            raise EOFError("its answer is not whole")
        body += more
    return fields, body


def _length(fields: Mapping[str, str]) -> int:
    text = fields.get("content-length", "0")
    if not text.isdecimal() or int(text) > MAX_ANSWER_OCTETS:
        raise Broken("its answer is too long")
    return int(text)
