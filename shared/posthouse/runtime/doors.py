"""Doors: ports that are open, each with a doorstep if anything is to happen on it.

open_door ─▶ TCP ─▶ (PROXY header) ─▶ (TLS) ─▶ welcome(client's address) ─▶ the protocol
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from posthouse.mail.networks import parse_networks
from posthouse.runtime.client_settings import ClientSettings, NetworkList
from posthouse.runtime.doorstep import Doorstep, Manners, Welcome
from posthouse.runtime.proxy_protocol import Proxies
from posthouse.runtime.tls_context import TlsTerms, Version, plain_context

BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A port that is open.

    Attributes:
        number: Its number.
    """

    number: int
    server: asyncio.Server
    doorstep: Doorstep | None

    async def close(self) -> None:
        """Let nobody in any more; who has come in is in nobody's way."""
        self.server.close()
        if self.doorstep is not None:
            await self.doorstep.close()


async def open_door(welcome: Welcome, host: str, port: int, manners: Manners) -> Door:
    """Listen on ``port`` of ``host``; 0 is any that is free. Raises OSError."""
    is_bare = manners.context is None and not manners.proxies.networks
    doorstep = None if is_bare else Doorstep(welcome, manners)
    server = await asyncio.get_running_loop().create_server(
        doorstep.newcomer if doorstep else lambda: welcome(None), host, port, backlog=BACKLOG
    )
    return Door(number=server.sockets[0].getsockname()[1], server=server, doorstep=doorstep)


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise ValueError(f"the folder {path} is not there")
    return path


class DoorSettings(ClientSettings):
    """The settings of a service that people and servers connect to.

    Attributes:
        tls_folder: More certificates, each shown to whoever asks for a name that it says.
        tls_minimum: The oldest version of TLS that is spoken.
        tls_ciphers: OpenSSL's list for TLS 1.2; empty for OpenSSL's own choice.
        tls_client_authorities: People are asked for a certificate of one of these (PEM).
        proxy_networks: Load balancers, whose connections begin with a PROXY header.
        proxy_required: With `proxy_networks`: whoever comes from elsewhere is not let in.
    """

    tls_folder: Annotated[Path | None, AfterValidator(_folder)] = None
    tls_minimum: Version = "1.2"
    tls_ciphers: str = ""
    tls_client_authorities: Path | None = None
    proxy_networks: NetworkList = ""
    proxy_required: bool = True

    @model_validator(mode="after")
    def _handshakes_are_possible(self) -> Self:
        given = ("tls_folder", "tls_client_authorities")
        if self.tls_certificate is None and any(getattr(self, name) for name in given):
            raise ValueError(
                "POSTHOUSE_TLS_CERTIFICATE: is missing: POSTHOUSE_TLS_FOLDER and "
                "POSTHOUSE_TLS_CLIENT_AUTHORITIES need one for clients that name no host"
            )
        try:
            plain_context(self.tls_terms(asking=True))
        except OSError as wrong:  # ssl.SSLError is one
            raise ValueError(
                "POSTHOUSE_TLS_CIPHERS, POSTHOUSE_TLS_CLIENT_AUTHORITIES: "
                f"OpenSSL refuses them: {wrong}"
            ) from wrong
        return self

    def tls_terms(self, *, asking: bool) -> TlsTerms:
        """Return how hands are shaken; ``asking`` for a certificate, if there are authorities."""
        return TlsTerms(
            minimum=self.tls_minimum,
            ciphers=self.tls_ciphers,
            authorities=self.tls_client_authorities if asking else None,
        )

    @property
    def manners(self) -> Manners:
        """What happens before a session that begins in plain text."""
        networks = parse_networks(self.proxy_networks)
        return Manners(
            proxies=Proxies(networks=networks, is_required=self.proxy_required),
            breadth=self.breadth,
        )
