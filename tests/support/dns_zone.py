"""A small name server on dnspython for tests: UDP on loopback, records from a dict of text.

    {"a.test": ["MX 10 mx.a.test"], "mx.a.test": ["A 127.0.0.1"], "sick.test": ["SERVFAIL"]}

A name that is not there is NXDOMAIN, one without the wanted type NODATA. Aliases (``CNAME b.test``)
are followed in the answer, but not those in `Zone.curt`. ``SERVFAIL`` fails, ``SILENCE`` is never
answered, ``TRUNCATED`` does not fit into a datagram, and nobody serves TCP. The number of questions
is counted by name.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL_SECONDS = 30
MAX_ALIASES = 30
_WITH_NAMES = {"MX", "PTR", "CNAME"}


class Zone(asyncio.DatagramProtocol):
    """The server.

    Attributes:
        records: May be changed while it runs.
        asked: How often each (name, type) was asked.
        port: Where it listens.
        curt: Aliases that are answered without what they stand for.
        proved: Names of which DNSSEC proves the records, as who asks for it is told; with a kind
            (``CNAME b.test``) of those alone.
    """

    def __init__(self, records: Mapping[str, Sequence[str]]) -> None:
        self.records = {name: list(lines) for name, lines in records.items()}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.port = 0
        self.proved: set[str] = set()
        self.curt: set[str] = set()
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def nameservers(self) -> str:
        """The value of POSTHOUSE_NAMESERVERS."""
        return f"127.0.0.1:{self.port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = self.answer(query)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer.to_wire(), addr)

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if {name, f"{kind} {name}"} & self.proved:
            response.flags |= query.flags & dns.flags.AD
        return self._filled(response, name, kind)

    def _filled(
        self, response: dns.message.Message, name: str, kind: str
    ) -> dns.message.Message | None:
        """Put in what is known of ``name``, and of what it is an alias of; None for silence."""
        for _ in range(MAX_ALIASES):
            lines = self.records.get(name)
            if lines is None or "SERVFAIL" in lines:
                fault = dns.rcode.NXDOMAIN if lines is None else dns.rcode.SERVFAIL
                response.set_rcode(fault)
                return response
            if "SILENCE" in lines:
                return None
            if "TRUNCATED" in lines:
                response.flags |= dns.flags.TC
                return response
            aliases = [line.partition(" ")[2] for line in lines if line.startswith("CNAME ")]
            found = "CNAME" if aliases else kind
            values = [v for k, _, v in (line.partition(" ") for line in lines) if k == found]
            if values:
                rows = map(_full, values) if found in _WITH_NAMES else values
                response.answer.append(
                    dns.rrset.from_text(f"{name}.", TTL_SECONDS, "IN", found, *rows)
                )
            if not aliases or name in self.curt or kind == "CNAME":
                return response
            name = aliases[0].lower()
        return response


def _full(value: str) -> str:
    """Make the names in MX, PTR and CNAME data absolute."""
    last = value.rpartition(" ")[2]
    is_name = last[-1:].isalpha() and not value.startswith('"') and ":" not in value
    return value + "." if is_name else value


@asynccontextmanager
async def serve_zone(records: Mapping[str, Sequence[str]]) -> AsyncIterator[Zone]:
    """Serve ``records`` on a free UDP port of 127.0.0.1."""
    loop = asyncio.get_running_loop()
    transport, zone = await loop.create_datagram_endpoint(
        lambda: Zone(records), local_addr=("127.0.0.1", 0)
    )
    try:
        yield zone
    finally:
        transport.close()
