"""The outside world for delivery-remote: targets, manners and messages for scripted servers."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from delivery_remote.routes import Login, Target, Tls
from delivery_remote.security.contexts import Contexts
from delivery_remote.session import Mail, Manners, Patience
from onemachine.certificates import Certificates, certificates
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from support.scripted_smtp import Peer

MESSAGE = b"Subject: Hello\r\n\r\nHello.\r\n.\r\n.dot\r\n"
QUICK = Patience().at_most(1.0)


@dataclass(frozen=True)
class Secured:
    """TLS for a server, and the manners that trust it."""

    server: ssl.SSLContext
    manners: Manners
    files: Certificates


@cache
def _contexts() -> Contexts:
    """Return those for all tests: to read the system's roots takes longer than most of them."""
    return Contexts()


def secured(folder: Path, name: str = "peer.test") -> Secured:
    """Make a certificate for ``name`` in ``folder``."""
    files = certificates(folder, (name,))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.chain, files.key)
    manners = Manners(
        hostname="mail.example.test",
        patience=QUICK,
        contexts=Contexts(files.authority),
    )
    return Secured(server, manners, files)


def manners(patience: Patience = QUICK) -> Manners:
    """Quick and polite."""
    return Manners(
        hostname="mail.example.test",
        patience=patience,
        contexts=_contexts(),
    )


def target(
    peer: Peer,
    *,
    tls: Tls = Tls.OPPORTUNISTIC,
    login: Login | None = None,
    host: str = "peer.test",
    lmtp: bool = False,
) -> Target:
    """Where ``peer`` listens."""
    return Target(host=host, address="127.0.0.1", port=peer.port, tls=tls, login=login, lmtp=lmtp)


async def surely() -> None:
    """The end of the message may be sent."""


def mail(
    *recipients: str,
    octets: bytes = MESSAGE,
    smtputf8: bool = False,
    sender: str = "anna@a.test",
    handling: Handling = PLAIN,
    notify: Notify = DEFAULT,
) -> Mail:
    """A message for ``recipients``."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(octets), 100_000):
            yield octets[at : at + 100_000]

    return Mail(
        sender=sender,
        recipients=tuple(
            InboundRecipient(n=n, address=to, notify=notify)
            for n, to in enumerate(recipients or ("bert@b.test",))
        ),
        size=len(octets),
        body="8BITMIME",
        smtputf8=smtputf8,
        handling=handling,
        pieces=pieces,
        confirm=surely,
    )
