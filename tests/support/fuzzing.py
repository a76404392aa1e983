"""A session on a wire of octets in memory, and what must hold whatever these octets were."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from prometheus_client import REGISTRY

from ingress_smtp.exchange import Expected
from ingress_smtp.session import Session
from ingress_smtp.terms import Terms
from posthouse.mail.encryption import Tls
from posthouse.runtime.spool import Spool
from support.ingress import HOSTNAME, TERMS, Cellar, Policy, a_house, a_reception

LIMIT = 200_000  # octets of a message
MEMORY = 10_000_000
_BUGS_TOTAL = "posthouse_ingress_exceptions_total"
_TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")

# RFC 5321 §4.2: a reply is lines of one code; RFC 2034 §4: an enhanced code of the same class.
_LINE = re.compile(rb"([2-5][0-5][0-9])([ -])([\t\x20-\x7e]*)\r\n")
_ENHANCED = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3} [\x20-\x7e]+")
_QUEUED = re.compile(rb"250 2\.0\.0 Ok: queued as ")
_MAX_REPLY_LINE = 512  # RFC 5321 §4.5.3.1.5
_MAX_CHALLENGE_LINE = 12_288  # RFC 4954 §4


@dataclass(frozen=True, slots=True)
class Role:
    """What a client talks to: the terms, and whether TLS began with the connection."""

    terms: Terms
    secure: bool = False


_TERMS = replace(TERMS, message_octets_max=LIMIT)
PLAIN = Role(_TERMS)
STRANGER = Role(replace(_TERMS, tls=True))
PERSON = Role(replace(_TERMS, tls=True, role="submission"))
PERSON_SECURE = Role(PERSON.terms, secure=True)
NEIGHBOUR = Role(replace(_TERMS, role="lmtp"))


class Tape:
    """A wire that reads from portions, then has gone, and keeps what was written."""

    def __init__(self, portions: Sequence[bytes], *, secure: bool) -> None:
        self.client = "192.0.2.7"
        self.tls = _TLS if secure else None
        self.said = bytearray()
        self._portions = iter([portion for portion in portions if portion])

    def speak_for(self, client: str) -> bool:
        self.client = client
        return True

    def expect(self, what: Expected) -> None:
        """Time does not pass here."""

    async def read(self) -> bytes:
        return next(self._portions, b"")

    async def is_silent_for(self, pause: timedelta) -> bool:  # noqa: ARG002 - no time passes
        return False

    async def write(self, octets: bytes) -> None:
        self.said += octets

    async def start_tls(self, go_ahead: bytes) -> bool:
        self.said += go_ahead
        self.tls = _TLS
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of a session.

    Attributes:
        octets: What the client sent.
        said: What it was told.
        cellar: What was accepted.
        terms: What held.
    """

    octets: bytes
    said: bytes
    cellar: Cellar
    terms: Terms

    @property
    def codes(self) -> list[bytes]:
        """The codes of the replies, each of which must be in the grammar."""
        return _codes(self.said)


class Ear:
    """Runs sessions one after the other on a loop of its own: ``with Ear() as ear``."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._spool = Spool()

    def __enter__(self) -> Self:
        self._runner.run(self._spool.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._spool.__aexit__(None, None, None))
        self._runner.close()

    def hear(self, portions: Sequence[bytes], role: Role, *, threshold: int = LIMIT) -> Heard:
        """Run a session over ``portions`` to its end; messages of ``threshold`` are spooled.

        No exception may leave it or be answered, and what it took must be given back.
        """
        before = _bugs()
        cellar = Cellar()
        tape = Tape(portions, secure=role.secure)
        reception = a_reception(self._spool, octets=MEMORY, threshold=threshold)
        session = Session(tape, role.terms, a_house(Policy(), cellar, reception))

        self._runner.run(session.run())

        assert _bugs() == before, "an exception was answered with 451"
        for budget in (reception.space.memory, reception.space.disk):
            assert budget.take(MEMORY), "what a message took was not given back"
            budget.give_back(MEMORY)
        said, octets = bytes(tape.said), b"".join(portions)
        return Heard(octets=octets, said=said, cellar=cellar, terms=role.terms)


def judge(heard: Heard) -> None:
    """Assert what must hold whatever was said."""
    codes = heard.codes
    assert codes[0] == b"220"
    accepted = heard.cellar.mails
    told = len(_QUEUED.findall(heard.said))
    if heard.terms.role == "lmtp":  # RFC 2033 §4.2: a reply for each RCPT that was accepted
        assert told >= sum(len(mail.recipients) for mail in accepted)
        assert bool(told) == bool(accepted)
    else:
        assert told == len(accepted), "accepted and not told, or the reverse"
        assert len(codes) <= 2 + heard.octets.count(b"\n"), "more replies than commands"
    assert len(accepted) == len(heard.cellar.objects) == len(heard.cellar.published)
    ends = heard.octets.count(b".\r\n") + heard.octets.upper().count(b"LAST\r\n")
    assert len(accepted) <= ends, "more messages than ends of messages"
    for mail in accepted:
        assert mail.recipients
        if heard.terms.role != "submission":
            addresses = [recipient.address for recipient in mail.recipients]
            assert all(address in Policy().known for address in addresses), "relayed"
        else:
            assert mail.auth
    for octets in heard.cellar.objects.values():
        assert octets.startswith(b"Received: from ")
        assert octets.endswith(b"\r\n")
        assert not set(octets.replace(b"\r\n", b"")) & set(b"\r\n\0")


def _codes(said: bytes) -> list[bytes]:
    """Return the codes of the replies, each of which must be in the grammar."""
    codes: list[bytes] = []
    open_code = b""
    at = 0
    while at < len(said):
        line = _LINE.match(said, at)
        assert line is not None, f"no reply: {said[at : at + 80]!r}"
        code, separator, text = line.groups()
        assert open_code in {b"", code}, "a reply changed its code"
        is_challenge = code == b"334"
        assert len(line[0]) <= (_MAX_CHALLENGE_LINE if is_challenge else _MAX_REPLY_LINE)
        if not open_code:
            is_greeting = code == b"220" and not codes
            is_offer = code == b"250" and text.split(b" ")[0] == HOSTNAME.encode()
            if not (is_greeting or is_offer or code[:1] == b"3"):
                assert _ENHANCED.match(text), f"no enhanced code: {line[0]!r}"
                assert text[:1] == code[:1], "an enhanced code of another class"
            codes.append(code)
        open_code = code if separator == b"-" else b""
        at = line.end()
    assert not open_code, "a reply without its end"
    return codes


def _bugs() -> float:
    """Return how many there were, from that metric alone: all of them take longer than a session."""
    found = REGISTRY.restricted_registry([_BUGS_TOTAL]).collect()
    return next(one.value for metric in found for one in metric.samples if one.name == _BUGS_TOTAL)
