"""Finding TLSA records (RFC 7672 §2.1, §2.2)."""

from __future__ import annotations

from datetime import timedelta

from delivery_remote.security.memory import Memory
from delivery_remote.security.tls_policy import Broken, Dane, Published
from posthouse.mail.answers import Found, Temporary
from posthouse.resolver import Resolver

REMEMBERED = timedelta(seconds=30)  # beside what the resolver keeps for the records' own time


class TlsaRecords:
    """Asks name servers that validate DNSSEC; others must not be given."""

    def __init__(self, resolver: Resolver, remembered: timedelta = REMEMBERED) -> None:
        self._resolver = resolver
        self._memory: Memory[Dane] = Memory(remembered)

    async def of(self, host: str, port: int) -> Dane:
        """Return the proved records of a server whose name nobody can have forged."""
        return await self._memory.get(f"{host}:{port}", lambda: self._look(host, port))

    async def _look(self, host: str, port: int) -> Dane:
        for base in await self._bases(host):
            answer = await self._resolver.tlsa(base, port)
            if isinstance(answer, Temporary):  # §2.1.2: a server that may have some is not used
                return Broken(f"DNS gave no answer: {answer.why}")
            if isinstance(answer, Found) and answer.authentic:
                return Published(base, answer.records)
        return None

    async def _bases(self, host: str) -> tuple[str, ...]:
        """Return the names under which records count (§2.2.2, §2.2.3).

        None is asked for where the addresses are not proved: many name servers of unsigned zones
        answer such questions wrongly. An alias whose end is not proved may be so itself.
        """
        found = await self._resolver.addresses(host)
        if not isinstance(found, Found):
            return ()
        is_alias = found.canonical not in {"", host}
        if found.authentic:
            return (found.canonical, host) if is_alias else (host,)
        if is_alias:
            alias = await self._resolver.alias(host)
            return (host,) if isinstance(alias, Found) and alias.authentic else ()
        return ()
