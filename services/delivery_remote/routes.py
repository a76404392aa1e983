"""Where a mail goes, as values: servers, a folder, not now, or never (RFC 5321 §5.1). Pure.

`delivery_remote.ways` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from delivery_remote.security.proofs import MAY, Demand
from delivery_remote.trouble import Later, Never
from posthouse.mail.hops import Hop
from posthouse.mail.status import LOOP, Status

NO_ANSWER = Status(451, (4, 4, 3))  # RFC 3463 §3.5: directory server failure
NULL_MX = Never(Status(556, (5, 1, 10)), "the domain accepts no mail (null MX)")  # RFC 7505 §5
NO_SUCH_DOMAIN = Never(Status(550, (5, 1, 2)), "there is no such domain")  # RFC 3463 §3.2
NO_SERVER = Never(Status(550, (5, 4, 4)), "the domain has no mail server")  # RFC 3463 §3.5
UNREACHABLE = Never(Status(550, (5, 4, 4)), "the domain has no mail server that can be reached")
NO_LITERALS = Never(Status(550, (5, 1, 2)), "mail to address literals is not sent from here")
BACK_TO_US = Never(LOOP, "mail for the domain loops back to this server")


class Tls(Enum):
    """What a session must be like."""

    NONE = "none"  # plain text, also where TLS is offered
    OPPORTUNISTIC = "opportunistic"  # RFC 7435: encrypted if it can be, to anybody
    REQUIRED = "required"  # STARTTLS, with a server that proves who it is (`Demand.proof`)
    IMPLICIT = "implicit"  # likewise, from the first octet


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in at a smarthost; never shown."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Login(***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address of one server.

    Attributes:
        host: Its name, for SNI, reports and the ledger.
        address: The IP address to connect to; or the path of a socket, which begins with ``/``.
        port: The TCP port; 0 for a socket.
        tls: What the session must be like.
        login: How to log in; None where nobody asks.
        domain: Whose MX records named it, or whose own name it is; empty if an operator chose it.
        demand: What its sessions must be like beside that, and why.
        lmtp: It speaks LMTP (RFC 2033).
        proved: DNSSEC proves its address, and the MX records that named it if there were any.
        source: The address of ours that it is reached from; empty for the machine's choice.
        hello: The name that we say there; empty for the usual one.
    """

    host: str
    address: str
    port: int
    tls: Tls = Tls.OPPORTUNISTIC
    login: Login | None = None
    domain: str = ""
    demand: Demand = MAY
    lmtp: bool = False
    proved: bool = False
    source: str = ""
    hello: str = ""

    def __str__(self) -> str:
        return f"{self.host} [{self.address}]"


@dataclass(frozen=True, slots=True)
class Plan:
    """The servers of one destination, best first.

    Attributes:
        destination: Names it: what shares connections, limits and back-off.
        targets: Never empty.
        certain: Nobody between us and the domain can have chosen the servers: an operator did, or
            DNSSEC proves the MX records, or there are none and the name is the domain itself.
        relaxed: The servers as they are for a mail whose sender waives TLS (RFC 8689 §3), if that
            makes a difference.
    """

    destination: str
    targets: tuple[Target, ...]
    certain: bool = False
    relaxed: tuple[Target, ...] = ()

    def by_mx(self, *, proved: bool) -> Plan:
        """Return the same plan: the servers stood in MX records, which DNSSEC proves or not."""
        if proved:
            return self
        targets = tuple(replace(each, proved=False) for each in self.targets)
        return replace(self, targets=targets, certain=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """The way is closed by its operator, unless somebody asks for the mail.

    Attributes:
        left: Until it opens, or is looked at again.
        why: In words.
    """

    left: timedelta
    why: str


@dataclass(frozen=True, slots=True)
class Folder:
    """The way ends here: in folders or files of this machine.

    Attributes:
        hop: Which.
    """

    hop: Hop


NoWay: TypeAlias = Never | Later
Way: TypeAlias = Plan | Folder | Closed | NoWay
