"""DNS with typed answers: found, empty, or temporarily unknown (RFC 1035, RFC 5321 §5.1).

The only importer of dnspython. An answer is a value, never an exception, because "there is no such
name" and "nobody could tell me" must lead to different ends: the one bounces, the other waits.
Aliases (CNAME) are followed, a bounded number of them, also where a name server leaves that to us.
Answers are cached for their TTL, in a cache of bounded size; one `Resolver` serves a process.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.nameserver
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from posthouse.mail.answers import Answer, Empty, Exchange, Found, Temporary
from posthouse.mail.tls_words import Tlsa
from posthouse.telemetry.metrics import counter

T = TypeVar("T")

MAX_PORT = 65_535
DNS_PORT = 53  # RFC 1035 §4.2
CACHED_ANSWERS = 20_000
MAX_ALIAS_QUESTIONS = 8  # beside the aliases that one answer explains, of which 16 are followed
LIFETIME = timedelta(seconds=10)  # for one question, all servers and repetitions together

_NOT_A_NAME = (
    dns.name.LabelTooLong,
    dns.name.NameTooLong,
    dns.name.EmptyLabel,
    dns.name.BadEscape,
    dns.name.IDNAException,
)

_NEVER: tuple[float, None] = (0.0, None)
_answers = counter("posthouse_dns_answers_total", "Answers to our DNS questions", "kind", "result")


class Resolver:
    """Asks the configured name servers, or those of the system."""

    def __init__(
        self, nameservers: str = "", *, lifetime: timedelta = LIFETIME, validates: bool = False
    ) -> None:
        """Ask ``nameservers``: ``address[:port], ...``; empty for those of /etc/resolv.conf.

        With ``validates`` they are believed when they say that DNSSEC proves an answer: they, and
        the way to them, must be trusted (RFC 6840 §5.7, §5.8).
        """
        self._resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            self._resolver.nameservers = parse_nameservers(nameservers)
        self._resolver.flags = dns.flags.RD | dns.flags.AD  # tell us what is proved
        self._validates = validates
        self._resolver.cache = dns.resolver.LRUCache(CACHED_ANSWERS)
        self._resolver.lifetime = lifetime.total_seconds()
        # What was found, as it was read, until when that holds: reading it again, from the cache of
        # answers, costs as much as all else that is done to prove a sender.
        self._found: dict[tuple[str, str], tuple[float, Found[Any]]] = {}

    async def mx(self, domain: str) -> Answer[Exchange]:
        """Return the exchanges of ``domain``, best first."""
        answer = await self._ask(domain, "MX", _exchange)
        if isinstance(answer, Found):
            return replace(answer, records=tuple(sorted(answer.records)))
        return answer

    async def txt(self, name: str) -> Answer[str]:
        """Return the text records of ``name``, the strings of each put together."""
        return await self._ask(name, "TXT", _text)

    async def tlsa(self, host: str, port: int) -> Answer[Tlsa]:
        """Return the TLSA records of a service over TCP (RFC 6698 §3)."""
        return await self._ask(f"_{port}._tcp.{host}", "TLSA", _tlsa)

    async def alias(self, name: str) -> Answer[str]:
        """Return what ``name`` itself is an alias of, not what stands at the end (RFC 1034 §3.6.2)."""
        return await self._ask(name, "CNAME", _alias)

    async def pointers(self, address: str) -> Answer[str]:
        """Return the names that the reverse zone gives for an IP address (RFC 1035 §3.5)."""
        name = ipaddress.ip_address(address).reverse_pointer
        return await self._ask(name, "PTR", _pointer)

    async def addresses(self, host: str) -> Answer[str]:
        """Return all addresses of ``host``, those of IPv6 first (RFC 5321 §5.2).

        What was found counts even if the other family could not be asked; it is authentic if all
        of it is.
        """
        six, four = await asyncio.gather(
            self._ask(host, "AAAA", _address), self._ask(host, "A", _address)
        )
        found = tuple(
            record for each in (six, four) if isinstance(each, Found) for record in each.records
        )
        if found:
            both = [each for each in (six, four) if isinstance(each, Found)]
            return Found(found, all(each.authentic for each in both), both[0].canonical)
        for each in (four, six):
            if isinstance(each, Temporary):
                return each
        return Empty(any(isinstance(each, Empty) and each.exists for each in (six, four)))

    async def hosts(self, name: str, version: Literal[4, 6]) -> Answer[str]:
        """Return the addresses of ``name`` in one family."""
        return await self._ask(name, "A" if version == 4 else "AAAA", _address)  # noqa: PLR2004

    async def _ask(self, name: str, kind: str, read: Callable[[dns.rdata.Rdata], T]) -> Answer[T]:
        until, known = self._found.get((name, kind), _NEVER)
        if known is not None and until > time.time():
            answer: Answer[T] = known
        else:
            answer = await self._answer(name, kind, read)
        _answers.labels(kind, type(answer).__name__.lower()).inc()
        return answer

    async def _answer(
        self, name: str, kind: str, read: Callable[[dns.rdata.Rdata], T]
    ) -> Answer[T]:
        try:
            return await self._followed(name, kind, read)
        except (dns.resolver.NXDOMAIN, *_NOT_A_NAME):
            return Empty(exists=False)
        except (dns.exception.DNSException, OSError, EOFError) as trouble:
            return Temporary(f"{type(trouble).__name__} for {kind} of {name}")

    async def _followed(
        self, asked: str, kind: str, read: Callable[[dns.rdata.Rdata], T]
    ) -> Answer[T]:
        """Ask for a name, and for what it is an alias of if the answer does not tell that too.

        RFC 1034 §3.6.2, RFC 5321 §5.1: the name at the end counts as if it had been asked for.
        """
        name = dns.name.from_text(asked, idna_codec=dns.name.IDNA_2008_Practical)
        authentic, until = self._validates, math.inf
        for _ in range(MAX_ALIAS_QUESTIONS):
            answer = await self._resolver.resolve(
                name, kind, search=False, raise_on_no_answer=False
            )
            authentic = authentic and bool(answer.response.flags & dns.flags.AD)
            until = min(until, answer.expiration)
            if answer.rrset is not None:
                end = _host(answer.canonical_name)
                found = Found(tuple(read(data) for data in answer), authentic, end)
                self._remember(asked, kind, until, found)
                return found
            if answer.canonical_name == name or answer.response.authority:
                return Empty(exists=True)  # RFC 2308 §2.2: the authority says that this is all
            name = answer.canonical_name
        return Temporary(f"aliases without end for {kind} of {name}")

    def _remember(self, name: str, kind: str, until: float, found: Found[T]) -> None:
        if len(self._found) >= CACHED_ANSWERS:
            del self._found[next(iter(self._found))]
        self._found[name, kind] = (until, found)


def parse_nameservers(text: str) -> Sequence[dns.nameserver.Nameserver]:
    """Read ``127.0.0.1:5300, 9.9.9.9, [::1]:53``; raise `ValueError` for anything else."""
    return [_nameserver(part.strip()) for part in text.split(",") if part.strip()]


def _nameserver(text: str) -> dns.nameserver.Nameserver:
    address, port = text, DNS_PORT
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        port = int(rest.removeprefix(":") or DNS_PORT) if bracket else 0
    elif text.count(":") == 1:
        address, _, digits = text.partition(":")
        port = int(digits)
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"not a name server: {text}")
    return dns.nameserver.Do53Nameserver(str(ipaddress.ip_address(address)), port)


def _exchange(data: dns.rdata.Rdata) -> Exchange:
    record = cast(MX, data)
    return Exchange(record.preference, _host(record.exchange))


def _text(data: dns.rdata.Rdata) -> str:
    return b"".join(cast(TXT, data).strings).decode("utf-8", "replace")


def _tlsa(data: dns.rdata.Rdata) -> Tlsa:
    record = cast(TLSA, data)
    return Tlsa(record.usage, record.selector, record.mtype, record.cert)


def _alias(data: dns.rdata.Rdata) -> str:
    return _host(cast(CNAME, data).target)


def _pointer(data: dns.rdata.Rdata) -> str:
    return _host(cast(PTR, data).target)


def _address(data: dns.rdata.Rdata) -> str:
    return str(cast(A | AAAA, data).address)


def _host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")
