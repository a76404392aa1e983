"""What a connection needs of the listener it came through."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol, TypeVar

from imap_gateway.client import Handlers
from imap_gateway.house import House
from posthouse.runtime.tls import ServerCertificate

C_contra = TypeVar("C_contra", contravariant=True)


class Objection(NamedTuple):
    """Why a new connection is sent away.

    Attributes:
        text: What its client is told.
        why: The word for it in metrics.
    """

    text: str
    why: str


class Door(Protocol[C_contra]):
    """The listener, as its connections see it."""

    @property
    def house(self) -> House:
        """What all sessions share."""

    @property
    def handlers(self) -> Handlers:
        """What carries out which command."""

    @property
    def certificate(self) -> ServerCertificate | None:
        """For STARTTLS."""

    @property
    def tasks(self) -> asyncio.TaskGroup:
        """Where work runs."""

    @property
    def is_stopping(self) -> bool:
        """No further commands are answered."""

    def now(self) -> float:
        """Return the time in seconds, for timeouts."""

    def admit(self, connection: C_contra) -> Objection | None:
        """Take a new connection; return why it must go again if it is one too many."""

    def forget(self, connection: C_contra) -> None:
        """The connection is gone."""
