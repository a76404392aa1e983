"""Which of a domain's servers are asked, in which order, and which are we (RFC 5321 §5.1). Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain, zip_longest

from delivery_remote.routes import BACK_TO_US, NULL_MX
from delivery_remote.trouble import Never
from posthouse.mail.address import is_domain
from posthouse.mail.answers import Exchange
from posthouse.mail.hops import Hop
from posthouse.mail.networks import NOWHERE, BadNetworks, Networks, parse_networks

MAX_EXCHANGES = 12  # names looked up for one attempt

Shuffle = Callable[[list[Exchange]], None]
Dice = Callable[[], float]


class Families(Enum):
    """In which order the addresses of one server are tried (RFC 5321 §5.2)."""

    BOTH = "both"  # in turn, IPv6 first: a broken family costs one attempt
    IPV6 = "ipv6"  # all of IPv6, then IPv4
    IPV4 = "ipv4"
    ONLY_IPV6 = "only-ipv6"
    ONLY_IPV4 = "only-ipv4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """How to know this house among the servers of others.

    Attributes:
        names: In lower case.
        networks: Of the addresses at which it takes mail in.
    """

    names: frozenset[str] = frozenset()
    networks: Networks = NOWHERE

    def is_at(self, addresses: Iterable[str]) -> bool:
        """True if one of ``addresses`` is ours."""
        return any(address in self.networks for address in addresses)


def parse_ours(text: str) -> Ours:
    """Read ``mx.example.test, 192.0.2.1, 2001:db8::/64``; raise `BadNetworks` for anything else."""
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    networks = [word for word in words if ":" in word or "/" in word or word[-1].isdigit()]
    if not all(map(is_domain, set(words) - set(networks))):
        raise BadNetworks("must look like mx.example.test,192.0.2.1,2001:db8::/64")
    return Ours(
        names=frozenset(words) - frozenset(networks), networks=parse_networks(",".join(networks))
    )


def choose(
    records: Iterable[Exchange], ours: Ours, shuffle: Shuffle = random.shuffle
) -> tuple[Exchange, ...] | Never:
    """Return the exchanges to ask, best first, equals in random order (RFC 5321 §5.1).

    If we are one of them, we and all that are not better are left out, or mail would circle.
    """
    usable = [record for record in records if record.host]
    if not usable:
        return NULL_MX
    better = _better(usable, (record for record in usable if record.host in ours.names))
    if not better:
        return BACK_TO_US
    shuffle(better)
    better.sort(key=lambda record: record.preference)
    once = {record.host: record for record in reversed(better)}
    return tuple(record for record in better if once[record.host] is record)[:MAX_EXCHANGES]


def without_us(
    exchanges: Sequence[Exchange], addresses: Mapping[str, Sequence[str]], ours: Ours
) -> tuple[Exchange, ...]:
    """Return those of ``exchanges`` that are better than one of our ``addresses``."""
    we = (each for each in exchanges if ours.is_at(addresses.get(each.host, ())))
    return tuple(_better(exchanges, we))


def _better(records: Sequence[Exchange], we: Iterable[Exchange]) -> list[Exchange]:
    own = min((record.preference for record in we), default=None)
    return [record for record in records if own is None or record.preference < own]


def arranged(addresses: Iterable[str], families: Families = Families.BOTH) -> tuple[str, ...]:
    """Return the addresses of one server in the order in which they are tried."""
    known = tuple(addresses)
    six = [address for address in known if ":" in address]
    four = [address for address in known if ":" not in address]
    match families:
        case Families.BOTH:
            pairs = chain.from_iterable(zip_longest(six, four))
            return tuple(address for address in pairs if address is not None)
        case Families.IPV6:
            return (*six, *four)
        case Families.IPV4:
            return (*four, *six)
        case Families.ONLY_IPV6:
            return tuple(six)
        case Families.ONLY_IPV4:
            return tuple(four)


def ranked(hops: Iterable[Hop], dice: Dice = random.random) -> tuple[Hop, ...]:
    """Return next hops in the order in which they are asked.

    Lower preference first; of equals each is first as often as its weight says, and so on with the
    rest (the draw of RFC 2782, as keys: Efraimidis and Spirakis).
    """
    keyed = [
        (hop.preference, -((1 - dice()) ** (1 / hop.weight)), n, hop) for n, hop in enumerate(hops)
    ]
    return tuple(hop for *_, hop in sorted(keyed, key=lambda entry: entry[:3]))
