"""Next hops: where a route leads, as values and as the text that an operator writes.

    relay.test:587   smtp:relay.test:587   a server, by its addresses; MX records are not asked
    mx:relay.test    mx:relay.test:2525    the servers of a domain, by its MX records
    lmtp:box.test:24 lmtp:/run/lmtp.sock   a mail store that speaks LMTP (RFC 2033)
    maildir:%d/%u    mbox:spool/%u         a folder or file of a classic host, below one root
    direct                                 the domain's own servers, by its MX records

Options follow with commas: ``preference=20`` (lower is asked first, 0 is the least), ``weight=3``
(of those with one preference the chance to be asked first; 1 is the usual), and for folders
``create``. The port of a server is 25 if none is named.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from posthouse.mail.address import is_domain

MAX_HOPS = 10  # of a route
MAX_HOP_CHARACTERS = 500
MAX_PORT = 65_535
MAX_NUMBER = 65_535  # preference and weight, as in MX and SRV records
SMTP_PORT = 25

_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_EXPANSION = re.compile(r"%(.?)", re.DOTALL)
EXPANSIONS = frozenset("ud%")  # local part, domain, a percent sign


class BadHop(ValueError):
    """The text is no next hop."""


class Kind(Enum):
    """What a next hop is."""

    SMTP = "smtp"
    MX = "mx"
    LMTP = "lmtp"
    MAILDIR = "maildir"
    MBOX = "mbox"
    DIRECT = "direct"


FOLDERS = frozenset({Kind.MAILDIR, Kind.MBOX})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One next hop.

    Attributes:
        kind: What it is.
        host: Name or IP address of the server, lower case; empty for sockets and folders.
        port: Its TCP port.
        path: Of the socket, folder or file; for the latter two below the root, with expansions.
        preference: Lower is asked first.
        weight: Among equals, the chance to be asked first.
        create: Make the folder if it is not there.
    """

    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""
    preference: int = 0
    weight: int = 1
    create: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = f"{host}:{self.port}" if host else self.path
        words = [f"{self.kind.value}:{place}" if place else self.kind.value]
        if self.preference:
            words.append(f"preference={self.preference}")
        if self.weight != 1:
            words.append(f"weight={self.weight}")
        if self.create:
            words.append("create")
        return ",".join(words)


def parse_hop(text: str) -> Hop:
    """Read one next hop; raise `BadHop` with words for the operator."""
    if len(text) > MAX_HOP_CHARACTERS or not text.isprintable():
        raise BadHop("a next hop is one line of at most 500 characters")
    place, *words = text.strip().split(",")
    kind, rest = _kind_of(place)
    options = _options(words, kind)
    if kind is Kind.DIRECT:
        if rest or options:
            raise BadHop("direct takes no options")
        return Hop(kind=kind)
    if kind in FOLDERS:
        return Hop(kind=kind, path=_below_root(rest), create="create" in options)
    preference = _number("preference", options.get("preference", "0"))
    weight = _number("weight", options.get("weight", "1"))
    if kind is Kind.LMTP and rest.startswith("/"):
        return Hop(kind=kind, path=rest, preference=preference, weight=weight)
    host, port = _host_and_port(rest, kind)
    return Hop(kind=kind, host=host, port=port, preference=preference, weight=weight)


def parse_hops(texts: tuple[str, ...]) -> tuple[Hop, ...]:
    """Read the next hops of one route: several servers, or one of anything else."""
    hops = tuple(map(parse_hop, texts))
    if not 1 <= len(hops) <= MAX_HOPS:
        raise BadHop(f"a route has 1 to {MAX_HOPS} next hops")
    if len(hops) > 1 and any(hop.kind in {*FOLDERS, Kind.DIRECT} for hop in hops):
        raise BadHop("maildir, mbox and direct stand alone")
    return hops


def _kind_of(place: str) -> tuple[Kind, str]:
    word, colon, rest = place.partition(":")
    for kind in Kind:
        if word == kind.value and (colon or kind is Kind.DIRECT):
            return kind, rest
    return Kind.SMTP, place


def _options(words: list[str], kind: Kind) -> Mapping[str, str]:
    allowed = {"create"} if kind in FOLDERS else {"preference", "weight"}
    options: dict[str, str] = {}
    for word in words:
        name, _, value = word.strip().partition("=")
        if name not in allowed or name in options or (name == "create" and value):
            raise BadHop(f"not an option of {kind.value}: {word}")
        options[name] = value
    return options


def _number(name: str, value: str) -> int:
    least = 1 if name == "weight" else 0
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_NUMBER))
    if not (is_number and least <= int(value) <= MAX_NUMBER):
        raise BadHop(f"{name} is a number from {least} to {MAX_NUMBER}")
    return int(value)


def _host_and_port(text: str, kind: Kind) -> tuple[str, int]:
    match = _PORT.fullmatch(text)
    host = match["host"].strip("[]").lower() if match else ""
    port = int(match["port"] or SMTP_PORT) if match else 0
    if not 1 <= port <= MAX_PORT or not (_is_address(host) or is_domain(host)):
        raise BadHop(f"not a host and port: {text}")
    if kind is Kind.LMTP and port == SMTP_PORT:
        raise BadHop("LMTP has no place on port 25")  # RFC 2033 §5
    if kind is Kind.MX and _is_address(host):
        raise BadHop(f"an address has no MX records: {host}")
    return host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _below_root(path: str) -> str:
    """Return ``path`` if it stays below the root whatever it is expanded to."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise BadHop(f"not a path below the root, without . and ..: {path}")
    for part in parts:
        if any(letter not in EXPANSIONS for letter in _EXPANSION.findall(part)):
            raise BadHop("of %u (local part), %d (domain) and %% only")
    return path
