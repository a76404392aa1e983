"""The names under which lists in DNS are asked (RFC 5782 §2.1, §2.4, §3). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from posthouse.mail.access_keys import plain_address
from posthouse.mail.address import is_domain
from posthouse.mail.idn import a_labels
from posthouse.storage.list_zones import Subject, Zone

MAX_NAME_CHARACTERS = 253  # RFC 1035 §2.3.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is known of a client and its mail; empty texts for what is not.

    Attributes:
        client: The IP address.
        sender: The domain of the reverse path.
        hello: What the client called itself.
        reverse: Its proved name.
    """

    client: str = ""
    sender: str = ""
    hello: str = ""
    reverse: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question.

    Attributes:
        zone: Who is asked.
        what: About whom.
        name: The name in DNS.
    """

    zone: Zone
    what: str
    name: str


def questions(zone: Zone, traits: Traits) -> list[Asked]:
    """Return what ``zone`` is asked about these traits, each once."""
    whats = dict.fromkeys(getattr(traits, subject, "") for subject in zone.asks)
    asked = [Asked(zone, what, name) for what in whats if (name := name_in(zone.zone, what))]
    return [each for each in asked if len(each.name) <= MAX_NAME_CHARACTERS]


def named(zone: Zone, names: Mapping[Subject, Sequence[str]]) -> list[Asked]:
    """Return what ``zone`` is asked about the names that a message holds, each once."""
    whats = dict.fromkeys(name for subject in zone.asks for name in names.get(subject, ()))
    asked = [Asked(zone, what, f"{what}.{zone.zone}") for what in whats]
    return [each for each in asked if len(each.name) <= MAX_NAME_CHARACTERS]


def probes(zone: Zone) -> tuple[str, str]:
    """Return the name that ``zone`` must list, and the one that it must not (§5)."""
    if "client" in zone.asks:
        return f"2.0.0.127.{zone.zone}", f"1.0.0.127.{zone.zone}"
    return f"test.{zone.zone}", f"invalid.{zone.zone}"


def name_in(zone: str, what: str) -> str:
    """Return the name of an address, or of a domain, in ``zone``; empty if it can have none."""
    address = plain_address(what)
    if address is not None:
        if isinstance(address, IPv4Address):
            return f"{'.'.join(reversed(str(address).split('.')))}.{zone}"
        return f"{'.'.join(reversed(address.exploded.replace(':', '')))}.{zone}"
    name = a_labels(what.lower().removesuffix("."))
    return f"{name}.{zone}" if "." in name and is_domain(name) and name.isascii() else ""
