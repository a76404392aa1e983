"""An ingress without a house: real listeners on real sockets, everything behind them in memory."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace as replace_struct

from ingress_smtp.authentication import Authentication
from ingress_smtp.authorship import Authorship
from ingress_smtp.budget import Budget
from ingress_smtp.contents import Contents
from ingress_smtp.conversation import House
from ingress_smtp.courtesies import Courtesies
from ingress_smtp.draft import Space
from ingress_smtp.holding import Holding
from ingress_smtp.holding import Room as RoomToHold
from ingress_smtp.hygiene import Rules
from ingress_smtp.intake import Acceptance
from ingress_smtp.listener import Patience
from ingress_smtp.ports import Limits, Listeners, Port
from ingress_smtp.reception import Reception
from ingress_smtp.recipients import Gate
from ingress_smtp.schedules import Schedules
from ingress_smtp.terms import Role, Terms
from posthouse.mail.admission import (
    AuthorQuestion,
    ListQuestion,
    MailQuestion,
    Question,
    RcptQuestion,
    Verdict,
    accept,
    refuse,
)
from posthouse.mail.content import ContentQuestion, ContentVerdict
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import Unavailable
from posthouse.mail.networks import parse_networks
from posthouse.mail.status import NO_SUCH_USER, NOT_YOURS, RELAY_DENIED
from posthouse.runtime.doorstep import Manners, Room
from posthouse.runtime.spool import Spool
from posthouse.storage.ledger import NewMail
from support.logins import everybody

HOSTNAME = "mx.example.test"
BOSS = "boss@example.test"  # lets everybody send on their behalf
MANNERS = Manners(room=Room(guests=20, guests_per_client=10))
PATIENCE = Patience(silence=timedelta(seconds=20), message=timedelta(seconds=20))
COURTESIES = Courtesies(
    vrfy="authenticated",
    expn="authenticated",
    default_domain="example.test",
    own_addresses=parse_networks("127.0.0.1,192.0.2.25,2001:db8::25"),
    literal_domain=HOSTNAME,
)
TERMS = Terms(
    hostname=HOSTNAME,
    role="mx",
    tls=False,
    message_octets_max=1_000_000,
    recipients_max=3,
    courtesies=COURTESIES,
)
LONGEST = timedelta(days=1)  # that a mail is held
LIMITS = Limits(sessions=100, sessions_per_client=100, patience=PATIENCE, manners=MANNERS)


class Judge:
    """Says the same of every message, and nothing while `is_away`.

    Attributes:
        says: The verdict.
        asked: All questions about messages.
        probes: How often it was asked whether it judges anything.
    """

    def __init__(self) -> None:
        self.says = ContentVerdict()
        self.asked: list[ContentQuestion] = []
        self.probes = 0
        self.is_away = False

    async def ask(self, question: ContentQuestion) -> ContentVerdict:
        if self.is_away:
            raise Unavailable("policy is away")
        if question.is_probe:
            self.probes += 1
            return ContentVerdict(rest_seconds=self.says.rest_seconds)
        self.asked.append(question)
        if question.blob:
            return replace_struct(self.says, wants_all=False)
        return self.says


class Policy:
    """Knows anna and bert; answers nothing while `is_away`."""

    def __init__(self) -> None:
        self.judge = Judge()
        self.known = {"anna@example.test", "bert@example.test", f"postmaster@{HOSTNAME}"}
        self.asked: list[Question] = []
        self.is_away = False

    async def ask(self, question: Question) -> Verdict:
        self.asked.append(question)
        if self.is_away:
            raise Unavailable("policy is away")
        match question:
            case AuthorQuestion():
                return self._author(question)
            case ListQuestion():
                return self._members(question)
            case MailQuestion(sender=sender, auth=auth):
                mine = sender in {"", auth, BOSS}
                return accept("mine") if mine else refuse(NOT_YOURS, "Not yours", "sender rights")
            case RcptQuestion():
                return self._recipient(question)

    def _recipient(self, question: RcptQuestion) -> Verdict:
        if question.recipient == "boom@example.test":
            raise ValueError("/etc/secret of ours")
        if question.recipient in self.known or question.auth:
            return accept("account")
        if question.recipient.endswith("@example.test"):
            return refuse(NO_SUCH_USER, "No such user here", "unknown recipient")
        return refuse(RELAY_DENIED, "Relaying denied", "relay")

    def _author(self, question: AuthorQuestion) -> Verdict:
        if not set(question.authors) <= {question.auth, BOSS}:
            return refuse(NOT_YOURS, "From address is not yours", "author rights")
        return Verdict(rule="author rights", must_tell=BOSS in question.authors)

    def _members(self, question: ListQuestion) -> Verdict:
        if question.address == "team@example.test":
            members = (
                ("anna@example.test", "x@far.test") if question.expand else (question.address,)
            )
        elif question.address in self.known | {"jörg@example.test"}:
            members = (question.address,)
        else:
            return refuse(NO_SUCH_USER, "No such user here", "unknown recipient")
        return Verdict(enhanced=(2, 1, 5), rule="list", members=members)


@dataclass
class Cellar:
    """Object storage, ledger and outbox in memory; what is away raises `Unavailable`."""

    objects: dict[str, bytes] = field(default_factory=dict)
    mails: list[NewMail] = field(default_factory=list)
    published: list[Envelope] = field(default_factory=list)
    discarded: list[tuple[NewMail, str]] = field(default_factory=list)
    removed: dict[str, bytes] = field(default_factory=dict)
    is_store_away: bool = False
    is_ledger_away: bool = False
    may_commit: asyncio.Event = field(default_factory=asyncio.Event)
    committing: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, key: str, octets: bytes) -> None:
        if self.is_store_away:
            raise Unavailable("Temporarily unavailable", detail="the disk of /var/x is full")
        self.objects[key] = octets

    async def put_file(self, key: str, descriptor: int) -> None:
        await self.put(key, os.pread(descriptor, os.fstat(descriptor).st_size, 0))

    async def accept(self, mail: NewMail) -> None:
        if self.is_ledger_away:
            raise Unavailable("Temporarily unavailable", detail="postgres://secret is down")
        self.committing.set()
        await self.may_commit.wait()
        self.mails.append(mail)

    async def discard(self, mail: NewMail, rule: str) -> None:
        self.discarded.append((mail, rule))

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.removed[key] = self.objects.pop(key)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.published.extend(envelopes)

    async def count_held(self, account: str) -> tuple[int, int]:
        if self.is_ledger_away:
            raise Unavailable("Temporarily unavailable", detail="postgres://secret is down")
        held = [mail.auth for mail in self.mails if mail.release_at]
        return held.count(account), len(held)

    @property
    def octets(self) -> bytes:
        """The octets of the only message."""
        assert len(self.objects) == 1
        return next(iter(self.objects.values()))


@dataclass
class Ingress:
    """A running ingress.

    Attributes:
        ports: By name: mx, submission, smtps, lmtp, and trusted: mx, whose clients may XCLIENT.
    """

    policy: Policy
    cellar: Cellar
    listeners: Listeners
    ports: dict[str, int]
    reception: Reception

    async def connect(
        self, port: str = "mx", tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a session on the port of that name; the greeting is not yet read."""
        context = tls if port == "smtps" else None
        return await asyncio.open_connection(
            "127.0.0.1", self.ports[port], ssl=context,
            server_hostname="localhost" if context else None, limit=1 << 20,
        )  # fmt: skip


def server_context(directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def a_house(policy: Policy, cellar: Cellar, reception: Reception) -> House:
    """Return what sessions share, with everything behind it in memory."""
    cellar.may_commit.set()
    return House(
        gate=Gate(policy),
        acceptance=Acceptance(
            blobs=cellar,
            ledger=cellar,
            outbox=cellar,
            hostname=HOSTNAME,
            examiner=Authorship(Gate(policy), "example.test"),
        ),
        authentication=Authentication(everybody(), penalty=timedelta()),
        reception=reception,
        contents=Contents(policy.judge, cellar, HOSTNAME),
        holding=Holding(cellar.count_held, RoomToHold(account=2, whole=3)),
    )


def a_reception(spool: Spool, *, octets: int = 10_000_000, threshold: int = 262_144) -> Reception:
    """Return room for some messages; those over ``threshold`` go to the spool."""
    return Reception(
        space=Space(
            memory=Budget(octets),
            disk=Budget(10_000_000, is_disk=True),
            spool=spool,
            threshold=threshold,
        ),
        rules=Rules(),
    )


@asynccontextmanager
async def running_ingress(
    certificate: ssl.SSLContext | None,
    *,
    reception_octets: int = 10_000_000,
    spool_above: int = 262_144,
    limits: Limits = LIMITS,
    terms: Terms = TERMS,
) -> AsyncIterator[Ingress]:
    """Run one with small limits; role and TLS of the ``terms`` are each port's own."""
    policy, cellar, spool = Policy(), Cellar(), Spool()
    reception = a_reception(spool, octets=reception_octets, threshold=spool_above)
    house = a_house(policy, cellar, reception)

    def port(role: Role, *, implicit_tls: bool = False, xclients: str = "") -> Port:
        longest = LONGEST if role == "submission" else timedelta()
        its = replace(
            terms,
            role=role,
            tls=certificate is not None,
            xclients=parse_networks(xclients),
            schedules=Schedules(longest=longest, delivers_by=role != "lmtp"),
        )
        return Port(
            host="127.0.0.1",
            number=0,
            terms=its,
            certificate=certificate,
            implicit_tls=implicit_tls,
        )

    ports = {"mx": port("mx"), "submission": port("submission"), "lmtp": port("lmtp")}
    ports["trusted"] = port("mx", xclients="127.0.0.0/8")
    if certificate:
        ports["smtps"] = port("submission", implicit_tls=True)
    async with (
        spool,
        Listeners(house, ports=tuple(ports.values()), limits=limits) as listeners,
    ):
        numbers = dict(zip(ports, listeners.numbers, strict=True))
        yield Ingress(policy, cellar, listeners, numbers, reception)
