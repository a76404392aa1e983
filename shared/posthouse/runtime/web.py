"""HTTPS to servers of others: small answers, in bounded time, names found by our own name servers.

Certificates are verified, redirects are not followed, nothing is kept from one request to the next.
Strangers name these servers: who leads to an address that the Internet does not have is refused.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from posthouse.mail.answers import Found
from posthouse.resolver import Resolver

HTTPS_PORT = 443  # RFC 9110 §4.2.2
PATIENCE = timedelta(seconds=10)
MAX_CONNECTIONS = 20  # at once, of one process

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1: the last 32 bits are an IPv4 address
_ASSIGNED = IPv6Network("2000::/3")  # all that IANA gives out; not site-local fec0::/10
_TROUBLE = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class WebFailure(Exception):
    """No answer came, or one that is too large; says why.

    Attributes:
        is_certificate: The server did not prove who it is.
    """

    def __init__(self, why: str, *, is_certificate: bool = False) -> None:
        super().__init__(why)
        self.is_certificate = is_certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer.

    Attributes:
        status: Its code (RFC 9110 §15).
        media_type: Without parameters, in lower case.
        octets: Its content.
    """

    status: int
    media_type: str
    octets: bytes


class Web:
    """A client; use it as a context manager."""

    def __init__(
        self,
        resolver: Resolver,
        trust: ssl.SSLContext,
        *,
        port: int = HTTPS_PORT,
        patience: timedelta = PATIENCE,
        inner: bool = False,
    ) -> None:
        """Ask servers at ``port`` whose certificates ``trust`` leads to, each for ``patience``.

        Addresses that are not globally routable are refused, unless ``inner`` ones are allowed.
        """
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS,
                ssl=trust,
                resolver=_Names(resolver, port),
                use_dns_cache=False,
                force_close=True,
                socket_factory=partial(_socket, inner=inner),
            ),
            timeout=aiohttp.ClientTimeout(total=patience.total_seconds()),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def get(self, url: str, most: int) -> Page:
        """Return what is at ``url``, at most so many octets; raise `WebFailure`."""
        return await self._ask("GET", url, most)

    async def post(self, url: str, octets: bytes, media_type: str, most: int = 65_536) -> Page:
        """Bring ``octets`` to ``url`` and return the answer; raise `WebFailure`."""
        return await self._ask("POST", url, most, octets, media_type)

    async def _ask(
        self, method: str, url: str, most: int, octets: bytes | None = None, media_type: str = ""
    ) -> Page:
        if not url.lower().startswith("https://"):
            raise WebFailure("the address does not begin with https://")
        headers = {"Content-Type": media_type} if media_type else {}
        try:
            async with self._http.request(
                method, url, data=octets, headers=headers, allow_redirects=False
            ) as response:
                content = await _content(response, most)
                kind = response.content_type.lower()
                return Page(status=response.status, media_type=kind, octets=content)
        except aiohttp.ClientConnectorCertificateError as wrong:
            why = getattr(wrong.certificate_error, "verify_message", "") or str(wrong)
            raise WebFailure(f"certificate: {why}", is_certificate=True) from wrong
        except _TROUBLE as trouble:
            raise WebFailure(f"{type(trouble).__name__}: {trouble}".rstrip(": ")) from trouble


async def _content(response: aiohttp.ClientResponse, most: int) -> bytes:
    octets = bytearray()
    async for chunk in response.content.iter_any():
        octets += chunk
        if len(octets) > most:
            raise WebFailure(f"the answer has more than {most} octets")
    return bytes(octets)


def _socket(way: AddrInfoType, *, inner: bool) -> socket.socket:
    """Return a socket for ``way``: each connection begins here, whatever its URL or DNS said.

    Raises:
        OSError: An inner address, and they are not allowed.
    """
    family, kind, protocol, _, target = way
    address = str(target[0])
    if not inner and not is_outside(address):
        raise OSError(errno.EACCES, f"{address} is no address of the Internet")
    return socket.socket(family, kind, protocol)


def is_outside(text: str) -> bool:
    """True for an address of one host that all the Internet can reach, in whatever it is wrapped."""
    address = _unwrapped(ip_address(text))
    if isinstance(address, IPv6Address) and address not in _ASSIGNED:
        return False
    return address.is_global and not address.is_multicast


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that packets to ``address`` end at (mapped, 6to4, NAT64), if any."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


class _Names(AbstractResolver):
    """Finds servers with our own resolver."""

    def __init__(self, resolver: Resolver, port: int) -> None:
        self._resolver = resolver
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return all addresses of ``host``; `OSError` if there are none."""
        answer = await self._resolver.addresses(host)
        if not isinstance(answer, Found):
            raise OSError(None, f"no address of {host} was found")
        asked = port if port != HTTPS_PORT else self._port
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=asked,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answer.records
            if family in {socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET}
        ]

    async def close(self) -> None:
        """Nothing is open."""
        await asyncio.sleep(0)
