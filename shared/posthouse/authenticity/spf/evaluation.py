"""check_host() of RFC 7208 §4: what a domain says of the host that sends for it.

All limits of §4.6.4 hold: ten terms that ask DNS, ten hosts of an MX, ten names of an address, two
questions that find nothing. How long it may take, the caller says.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal, TypeAlias, TypeVar

from posthouse.authenticity.names import Names
from posthouse.authenticity.spf import macros
from posthouse.authenticity.spf.macros import BadMacro, Ip, Values
from posthouse.authenticity.spf.record import BadRecord, Directive, Record, is_spf, parse
from posthouse.mail.answers import Answer, Empty, Found, Temporary

T = TypeVar("T")

SpfResult: TypeAlias = Literal[
    "none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"
]  # §2.6

MAX_LOOKUPS = 10
MAX_VOIDS = 2
MAX_HOSTS = 10  # of one MX, or names of one address
MAX_EXPLANATION = 450  # characters: what a reply has room for
_QUALIFIERS: dict[str, SpfResult] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[^.]{1,63}(?:\.[^.]{1,63})+")
_PRINTABLE = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spf:
    """What was found.

    Attributes:
        result: See RFC 7208 §2.6.
        domain: Whose record was asked.
        mechanism: Which matched, with those that led to it: ``include:a.test > ip4:192.0.2.0/24``.
        explanation: What the domain tells the sender of a failure; empty if it has nothing to say.
        why: Of errors, what is wrong.
    """

    result: SpfResult
    domain: str
    mechanism: str = ""
    explanation: str = ""
    why: str = ""


class _Permanent(Exception):
    """permerror."""


class _Trouble(Exception):
    """temperror."""


async def check_host(
    names: Names, ip: str, domain: str, *, sender: str, hello: str, receiver: str = "unknown"
) -> Spf:
    """Return what ``domain`` says of mail from ``sender`` by the host ``ip``.

    Args:
        names: DNS.
        ip: The client's address; an IPv4-mapped one is the IPv4 one (§5).
        domain: Of the reverse path or, where that is null, of the greeting (§2.3, §2.4).
        sender: The reverse path; ``postmaster@`` the greeting's name where that is null.
        hello: What the client called itself.
        receiver: Our name, for explanations.
    """
    local, _, host = sender.rpartition("@")
    values = Values(
        sender=f"{local or 'postmaster'}@{host}",  # §4.3
        domain=domain,
        ip=_plain(ip_address(ip)),
        hello=hello,
        receiver=receiver,
        now=int(time.time()),
    )
    check = _Check(names, values)
    try:
        result, mechanism, explanation = await check.of(domain.removesuffix("."))
    except _Permanent as wrong:
        return Spf(result="permerror", domain=domain, why=str(wrong))
    except _Trouble as trouble:
        return Spf(result="temperror", domain=domain, why=str(trouble))
    return Spf(result=result, domain=domain, mechanism=mechanism, explanation=explanation)


def _plain(ip: Ip) -> Ip:
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


_Outcome: TypeAlias = tuple[SpfResult, str, str]  # and by which mechanism; the explanation


class _Check:
    """One check, with all that its records include."""

    def __init__(self, names: Names, values: Values) -> None:
        self._names = names
        self._values = values
        self._lookups = 0
        self._voids = 0
        self._version: Literal[4, 6] = 4 if isinstance(values.ip, IPv4Address) else 6

    async def of(self, domain: str, *, explains: bool = True) -> _Outcome:
        """Return the result of ``domain``'s record."""
        if not _DOMAIN.fullmatch(domain):
            return "none", "", ""  # §4.3
        record = await self._record(domain)
        if record is None:
            return "none", "", ""
        values = replace(self._values, domain=domain)
        for directive in record.directives:
            if (mechanism := await self._matches(directive, values)) is not None:
                result = _QUALIFIERS[directive.qualifier]
                words = ""
                if result == "fail" and explains and record.explanation is not None:
                    words = await self._explanation(record.explanation, values)
                return result, mechanism, words
        if record.redirect is None:
            return "neutral", "", ""  # §4.7
        return await self._redirected(record.redirect, values, explains=explains)

    async def _record(self, domain: str) -> Record | None:
        texts = [text for text in _known(await self._names.txt(domain)) if is_spf(text)]
        if not texts:
            return None
        if len(texts) > 1:
            raise _Permanent(f"{domain} has {len(texts)} records")
        try:
            return parse(texts[0])
        except BadRecord as wrong:
            raise _Permanent(f"{domain}: {wrong}") from wrong

    async def _redirected(self, spec: str, values: Values, *, explains: bool) -> _Outcome:
        """Go on with another domain's record (§6.1)."""
        self._count()
        target = await self._target(spec, values)
        result, mechanism, words = await self.of(target, explains=explains)
        if result == "none":
            raise _Permanent(f"redirect to {target}, which has no record")
        return result, f"redirect={target}" + (f" > {mechanism}" if mechanism else ""), words

    async def _matches(self, directive: Directive, values: Values) -> str | None:
        """Return by which mechanism it matches, None if it does not."""
        if directive.name == "all":
            return directive.text
        if (network := directive.network) is not None:
            return directive.text if values.ip in network else None
        self._count()
        if directive.name == "include":
            return await self._included(directive, values)
        if directive.name == "ptr":
            is_match = await self._points_back(directive, values)
        else:
            target = await self._target(directive.spec, values)
            is_match = await self._is_host(directive, target)
        return directive.text if is_match else None

    async def _is_host(self, directive: Directive, target: str) -> bool:
        if directive.name == "exists":
            return bool(self._asked(await self._names.hosts(target, 4)))  # §5.7: A, whatever <ip>
        if directive.name == "a":
            return self._is_among(self._asked(await self._hosts(target)), directive)
        exchanges = self._asked(await self._names.mx(target))
        if len(exchanges) > MAX_HOSTS:
            raise _Permanent(f"{target} has {len(exchanges)} exchanges")
        for exchange in exchanges:
            if exchange.host and self._is_among(
                _known(await self._hosts(exchange.host)), directive
            ):
                return True
        return False

    async def _included(self, directive: Directive, values: Values) -> str | None:
        """Tell if another domain's record says pass (§5.2)."""
        target = await self._target(directive.spec, values)
        result, mechanism, _ = await self.of(target, explains=False)
        if result == "none":
            raise _Permanent(f"includes {target}, which has no record")
        return f"include:{target} > {mechanism}" if result == "pass" else None

    async def _points_back(self, directive: Directive, values: Values) -> bool:
        """Tell if a validated name of the client lies in the domain (§5.5)."""
        target = (await self._target(directive.spec, values)).lower()
        async for name in self._validated():
            if name == target or name.endswith("." + target):
                return True
        return False

    async def _validated(self) -> AsyncIterator[str]:
        """Yield the client's names that lead back to it (§5.5); what cannot be asked is none."""
        answer = await self._names.pointers(str(self._values.ip))
        if isinstance(answer, Temporary):
            return
        for name in self._asked(answer)[:MAX_HOSTS]:
            found = await self._hosts(name)
            if isinstance(found, Found) and self._values.ip in map(ip_address, found.records):
                yield name.lower()

    async def _target(self, spec: str, values: Values) -> str:
        """Return the domain name that a domain-spec stands for."""
        if not spec:
            return values.domain
        return macros.expand_name(spec, await self._named(spec, values))

    async def _named(self, text: str, values: Values) -> Values:
        """Return ``values`` with the client's validated name, if ``text`` uses it (§7.3)."""
        if not macros.uses_name(text):
            return values
        self._count()
        found = [name async for name in self._validated()]
        domain = values.domain.lower()
        found.sort(key=lambda name: (name != domain, not name.endswith("." + domain)))
        return replace(values, validated=found[0] if found else "unknown")

    async def _explanation(self, spec: str, values: Values) -> str:
        """Return what the domain says of its failure, empty if anything is wrong with that (§6.2)."""
        try:
            answer = await self._names.txt(await self._target(spec, values))
            if not isinstance(answer, Found) or len(answer.records) > 1:
                return ""
            (text,) = answer.records
            macros.check_string(text, explains=True)
            words = macros.expand(text, await self._named(text, values))
        except (BadMacro, _Permanent):
            return ""
        return words[:MAX_EXPLANATION] if _PRINTABLE.fullmatch(words) else ""

    async def _hosts(self, name: str) -> Answer[str]:
        return await self._names.hosts(name, self._version)

    def _is_among(self, addresses: tuple[str, ...], directive: Directive) -> bool:
        bits = directive.bits[0 if self._version == 4 else 1]  # noqa: PLR2004 - IPv4
        ip = self._values.ip
        return any(ip in ip_network(f"{address}/{bits}", strict=False) for address in addresses)

    def _asked(self, answer: Answer[T]) -> tuple[T, ...]:
        """Return what a term found; too many that find nothing are an error (§4.6.4)."""
        if isinstance(answer, Empty):
            self._voids += 1
            if self._voids > MAX_VOIDS:
                raise _Permanent("too many questions that find nothing")
        return _known(answer)

    def _count(self) -> None:
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            raise _Permanent("too many questions")


def _known(answer: Answer[T]) -> tuple[T, ...]:
    """Return what there is; nobody who could tell is an error (§5)."""
    if isinstance(answer, Temporary):
        raise _Trouble(answer.why)
    return answer.records if isinstance(answer, Found) else ()
