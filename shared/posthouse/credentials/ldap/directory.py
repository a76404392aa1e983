"""An LDAP directory as a link: it judges the passwords of its people (RFC 4513 §5.1.3).

    name ─▶ [search: which entry?] ─▶ bind as that entry ─▶ address ─▶ account

Either names are made of what was typed (``uid={local},ou=people,…``), or an entry is searched for.
Who is right is remembered for a while, since mail clients log in again and again. The account must
be one of ours in either case: the directory says who somebody is, not who gets mail here.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

from posthouse.credentials import app_passwords
from posthouse.credentials.authenticator import Link
from posthouse.credentials.exchange import (
    Accepted,
    Channel,
    Claim,
    Password,
    Refused,
    Verdict,
)
from posthouse.credentials.ldap import names
from posthouse.credentials.ldap.connection import Connection, Lost, Pool, Rejected, Server, Servers
from posthouse.credentials.ldap.filters import Filter
from posthouse.credentials.ldap.messages import Entry, Result
from posthouse.credentials.memory import Memory
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, histogram
from posthouse.telemetry.outages import Outage
from posthouse.telemetry.probes import Clock

GAPS = frozenset({"address", "local", "domain"})
MAX_PASSWORD_OCTETS = 1024  # as with our own
MAX_NAME_OCTETS = 256
MAX_WAITING = 256  # logins that wait for the directory before the next is told to come later
NO_ATTRIBUTES = "1.1"  # RFC 4511 §4.5.1.8

# What a server says of a name or a password that is not right, or of somebody who is locked out
# (RFC 4511 Appendix A.2): constraintViolation, noSuchObject, invalidDNSyntax,
# inappropriateAuthentication, invalidCredentials, insufficientAccessRights, unwillingToPerform.
_NOT_RIGHT = frozenset({19, 32, 34, 48, 49, 50, 53})

_NO_ANSWER = (Lost, Rejected, TimeoutError)

_logins = counter(
    "posthouse_ldap_logins_total", "Passwords judged by LDAP.", "directory", "outcome"
)
_seconds = histogram("posthouse_ldap_seconds", "How long LDAP takes for a password.")
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How an entry is found.

    Attributes:
        base: Below which name.
        filter: Which one.
        name: Our own name there; empty to search as nobody.
        password: Its proof.
        attribute: Holds the account's address; empty: the account is what was typed.
    """

    base: str
    filter: Filter
    name: str = ""
    password: str = field(default="", repr=False)
    attribute: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an operator says of a directory.

    Attributes:
        name: In metrics and the log; an operator's word.
        servers: Of the same content.
        trust: The authorities of their certificates.
        way: A name with gaps (see `GAPS`), or a search.
        domains: Only people of these are asked for, and let in; empty for all.
        connections: At once, of each kind: for searches and for binds.
        patience: For one login.
        remember: How long a right password is right without asking.
    """

    name: str = "default"
    servers: tuple[Server, ...]
    trust: ssl.SSLContext
    way: str | Search
    domains: frozenset[str] = frozenset()
    connections: int = 4
    patience: timedelta = timedelta(seconds=5)
    remember: timedelta = timedelta(minutes=1)


class Directory:
    """Judges passwords: ``async with Directory(plan, accounts) as link``.

    Args:
        plan: See `Plan`.
        accounts: Knows which accounts there are: is asked a `Claim`.
        clock: Seconds that only go forward.
    """

    def __init__(self, plan: Plan, accounts: Link, *, clock: Clock = time.monotonic) -> None:
        self._plan = plan
        self._accounts = accounts
        self._servers = Servers(plan.servers, plan.trust)
        self._binders = Pool(self._servers.open, plan.connections, clock, self._servers.blame)
        self._searchers = Pool(self._searcher, plan.connections, clock, self._servers.blame)
        self._memory: Memory[str] = Memory(plan.remember, clock)
        self._waiting = 0
        hosts = ", ".join(server.host for server in plan.servers)
        self._outage = Outage("LDAP went away", "LDAP is back", directory=plan.name, servers=hosts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._binders.close()
        self._searchers.close()

    async def judge(self, attempt: object, channel: Channel) -> Verdict | None:
        """Return the verdict on a `Password` of our people, None for anything else.

        Raises `Unavailable` if the directory does not answer, or has too much to do.
        """
        if not isinstance(attempt, Password):
            return None
        words = self._words(attempt.user)
        if words is None:
            return None
        device = await self._of_a_device(attempt, channel)
        if device is not None:
            return device
        address = await self._proven(words, attempt.password)
        if address is None or not self._speaks_for(address):
            return Refused()
        return await self._accounts.judge(Claim(user=address), channel)

    def _speaks_for(self, address: str) -> bool:
        """True if it may open this mailbox: its entries may name any, of its domains only."""
        domains = self._plan.domains
        if not domains or address.rpartition("@")[2].lower() in domains:
            return True
        log.warning("LDAP entry of another domain", address=address)
        return False

    async def _of_a_device(self, attempt: Password, channel: Channel) -> Accepted | None:
        """Try what looks like an app password with our accounts before anybody else is told.

        As a wrong password it would count against its owner in the directory.
        """
        if not app_passwords.digest(attempt.password):
            return None
        verdict = await self._accounts.judge(attempt, channel)
        return verdict if isinstance(verdict, Accepted) else None

    def _words(self, user: str) -> Mapping[str, str] | None:
        """Return what fills the gaps; None if ``user`` is nobody to ask LDAP for."""
        try:
            address = parse_address(user)
        except BadAddress:
            return self._words_of_a_name(user)
        domains = self._plan.domains
        if domains and address.domain not in domains:
            return None
        local, _, domain = address.key.rpartition("@")
        return {"address": address.key, "local": local, "domain": domain}

    def _words_of_a_name(self, user: str) -> Mapping[str, str] | None:
        """A name that is no address serves where the entry says the address."""
        has_address = isinstance(self._plan.way, Search) and self._plan.way.attribute
        if not has_address or not 0 < len(user.encode()) <= MAX_NAME_OCTETS:
            return None
        return {"address": user, "local": user, "domain": ""}

    # ---- asking

    async def _proven(self, words: Mapping[str, str], password: str) -> str | None:
        """Return the address of whom the password proves, None if it is not right.

        With an empty one a server would let anybody in, as nobody (RFC 4513 §5.1.2).
        """
        if not 0 < len(password.encode()) <= MAX_PASSWORD_OCTETS:
            return None
        key = self._memory.key(words["address"], password)
        known = self._memory.recall(key)
        if known is not None:
            self._count("remembered")
            return known
        if self._waiting >= MAX_WAITING:
            self._count("unavailable")
            raise Unavailable("Too many logins at once")
        self._waiting += 1
        began = time.perf_counter()
        try:
            address = await self._asked(words, password)
        finally:
            self._waiting -= 1
            _seconds.observe(time.perf_counter() - began)
        self._count("refused" if address is None else "accepted")
        if address is not None:
            self._memory.keep(key, address)
        return address

    def _count(self, outcome: str) -> None:
        _logins.labels(self._plan.name, outcome).inc()

    async def examine(self) -> None:
        """Connect, and search for nobody, for an operator; `Unavailable` says why not."""
        nobody = dict.fromkeys(GAPS, "nobody")
        try:
            async with asyncio.timeout(self._plan.patience.total_seconds()):
                if isinstance(self._plan.way, Search):
                    await self._entry(nobody)
                else:
                    (await self._servers.open()).close()
        except _NO_ANSWER as error:
            raise Unavailable(str(error) or "no answer in time") from error

    async def _asked(self, words: Mapping[str, str], password: str) -> str | None:
        try:
            async with asyncio.timeout(self._plan.patience.total_seconds()):
                found = await self._entry(words)
                result = await self._bound(found[0], password) if found else None
        except _NO_ANSWER as error:
            self._count("unavailable")
            self._outage.away(str(error) or "no answer in time")
            raise Unavailable("The directory of passwords does not answer") from error
        self._outage.over()
        return found[1] if found and result and result.code == 0 else None

    async def _entry(self, words: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the name to bind as and the account's address; None if there is nobody."""
        way = self._plan.way
        if isinstance(way, str):
            return names.fill(way, words), words["address"]
        wanted, wishes = way.filter.write(words), [way.attribute or NO_ATTRIBUTES]
        entries = await self._searchers.ask(
            lambda connection: connection.search(way.base, wanted, wishes)
        )
        if len(entries) != 1:
            if entries:
                log.warning("LDAP knows several of one name", user=words["address"])
            return None
        [entry] = entries
        address = _address_in(entry, way.attribute) if way.attribute else words["address"]
        if not address or not entry.name:
            log.warning("LDAP entry without an address", entry=entry.name)
            return None
        return entry.name, address

    async def _bound(self, name: str, password: str) -> Result:
        """Return the result of a bind that is right or not; raise `Rejected` for any other."""
        result = await self._binders.ask(lambda connection: connection.bind(name, password))
        if result.code != 0 and result.code not in _NOT_RIGHT:
            raise Rejected(result)
        return result

    async def _searcher(self) -> Connection:
        """Open a connection for searches, bound to our own name."""
        connection = await self._servers.open()
        way = self._plan.way
        if isinstance(way, Search) and way.name:
            try:
                result = await connection.bind(way.name, way.password)
            except BaseException:
                connection.abort()
                raise
            if result.code != 0:
                connection.close()
                raise Rejected(result)
        return connection


def _address_in(entry: Entry, attribute: str) -> str:
    """Return the first value of ``attribute``; empty if there is none."""
    values = entry.attributes.get(attribute.lower(), (b"",))
    return values[0].decode(errors="replace")
