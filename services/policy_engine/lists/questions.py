"""The names under which lists in DNS are asked (RFC 5782 §2.1, §2.4, §3). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from posthouse.mail.access_keys import plain_address
from posthouse.mail.address import is_domain
from posthouse.mail.idn import a_labels
from posthouse.storage.list_zones import Subject, Zone

DOOR: tuple[Subject, ...] = ("client", "sender", "hello", "reverse")
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
    """Return what ``zone`` is asked about these traits, each once.

    A list of names is never asked about an address, whatever a client says it is called: those
    answer that as a fault.
    """
    names = {
        getattr(traits, subject): _address_in if subject == "client" else _domain_in
        for subject in zone.asks
        if subject in DOOR
    }
    asked = [Asked(zone, what, name(what, zone.zone)) for what, name in names.items()]
    asked = [each for each in asked if each.name]
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


def _address_in(client: str, zone: str) -> str:
    """Return the name of an address in ``zone``; empty if it can have none."""
    address = plain_address(client)
    if address is None:
        return ""
    if isinstance(address, IPv4Address):
        return f"{'.'.join(reversed(str(address).split('.')))}.{zone}"
    return f"{'.'.join(reversed(address.exploded.replace(':', '')))}.{zone}"


def _domain_in(domain: str, zone: str) -> str:
    """Return the name of a domain in ``zone``; empty if it can have none."""
    name = a_labels(domain.lower().removesuffix("."))
    is_name = is_domain(name) and name.isascii()
    last = name.rpartition(".")[2]
    return f"{name}.{zone}" if is_name and last != name and not last.isdigit() else ""
