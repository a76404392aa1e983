"""Keys of allow and deny lists: how an entry is kept, and which entries something falls under. Pure.

A lookup is a handful of exact keys, so that it costs the same with any number of entries: a domain
stands for all below it, a network for all addresses in it, the name of a field for all its values.
Domains are compared in A-labels (RFC 5890 §2.3.2.1), in lower case.

    anna@news.far.test ▶ anna@news.far.test, news.far.test, far.test, test
    192.0.2.7          ▶ 192.0.2.7/32, 192.0.2.6/31 ... 192.0.0.0/8
    X-Mailer: Foo  1   ▶ x-mailer: foo 1, x-mailer
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Literal, TypeAlias, get_args

from posthouse.mail.address import BadAddress, is_domain, parse_address
from posthouse.mail.idn import a_labels

Kind: TypeAlias = Literal[
    "sender", "author", "recipient", "client", "hello", "reverse", "header", "rule"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

NULL_SENDER = "<>"
MAX_DOMAINS = 20  # of one name: those at its end
MAX_KEY_CHARACTERS = 320
MAX_PARTS_BITS = 4  # a network is kept as so many others at most
IPV4_LENGTHS = range(32, 7, -1)
IPV6_LENGTHS = (128, *range(64, 15, -4))
_FIELD_NAME = re.compile(r"[!-9;-~]{1,70}")  # RFC 5322 §3.6.8
_RULE_NAME = re.compile(r"[A-Z0-9_]{1,128}")


def key_of(kind: Kind, text: str) -> str:
    """Return the form in which an entry is kept; raise `ValueError`, in words, if it is none."""
    match kind:
        case "sender" | "author" | "recipient":
            return _address_or_domain(text, may_be_null=kind == "sender")
        case "client":
            return _network(text)
        case "hello" | "reverse":
            return _domain(text)
        case "header":
            return _field(text)
        case "rule":
            if not _RULE_NAME.fullmatch(text.upper()):
                raise ValueError(f"{text} is not the name of a rule, as in SPF_FAIL")
            return text.upper()


def address_keys(address: str) -> tuple[str, ...]:
    """Return the keys of an address, the most specific first; of the null path its own."""
    if not address:
        return (NULL_SENDER,)
    try:
        parsed = parse_address(address)
    except BadAddress:
        return (address.lower(),)
    return (_with_a_labels(parsed.key), *domain_keys(parsed.domain))


def domain_keys(domain: str) -> tuple[str, ...]:
    """Return a name and those above it, the most specific first; nothing for what is no name."""
    name = a_labels(domain.lower().removesuffix("."))
    if not is_domain(name):
        return ()
    labels = name.split(".")
    first = max(0, len(labels) - MAX_DOMAINS)
    return tuple(".".join(labels[n:]) for n in range(first, len(labels)))


@lru_cache(maxsize=4096)  # each recipient of a message asks the same
def client_keys(client: str) -> tuple[str, ...]:
    """Return the networks that an IP address is in, the smallest first; nothing for what is none."""
    address = plain_address(client)
    if address is None:
        return ()
    number = int(address)
    if isinstance(address, IPv4Address):
        return tuple(
            f"{_dotted(number >> 32 - length << 32 - length)}/{length}" for length in IPV4_LENGTHS
        )
    return tuple(
        f"{IPv6Address(number >> 128 - length << 128 - length)}/{length}" for length in IPV6_LENGTHS
    )


def field_key(name: str, value: str) -> str:
    """Return the key of a field with its value: lower case, blanks folded."""
    return f"{name.strip().lower()}: {' '.join(value.lower().split())}"


def networks_of(text: str) -> tuple[str, ...]:
    """Return the keys that a network of any length is made of; raise `ValueError`, in words.

    A /29 of IPv6 is eight of /32. What is nearly everybody, or not a whole /64, is none.
    """
    try:
        return (_network(text),)
    except ValueError:
        network = ip_network(plain_address(text) or text)
    lengths = IPV4_LENGTHS if isinstance(network, IPv4Network) else IPV6_LENGTHS
    next_length = min((n for n in lengths if n > network.prefixlen), default=0)
    if not 0 < next_length - network.prefixlen <= MAX_PARTS_BITS:
        raise ValueError(f"{text} cannot be kept: /4 and longer, of IPv6 /12 to /64, or /128")
    return tuple(map(str, network.subnets(new_prefix=next_length)))


def plain_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address, the IPv4 one of a mapped one; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _dotted(number: int) -> str:
    """Return an IPv4 address as text, five times as fast as `IPv4Address`."""
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _field(text: str) -> str:
    name, colon, value = text.partition(":")
    if not _FIELD_NAME.fullmatch(name.strip()):
        raise ValueError(f"{text} is not a field, as in X-Mailer: Name")
    key = field_key(name, value) if colon and value.strip() else name.strip().lower()
    if len(key) > MAX_KEY_CHARACTERS:
        raise ValueError(f"a field has at most {MAX_KEY_CHARACTERS} characters here")
    return key


def _address_or_domain(text: str, *, may_be_null: bool) -> str:
    if text == NULL_SENDER and may_be_null:
        return NULL_SENDER
    if "@" not in text.lstrip("@"):
        return _domain(text.removeprefix("@"))
    try:
        return _with_a_labels(parse_address(text).key)
    except BadAddress as fault:
        raise ValueError(f"{text} is neither an address nor a domain") from fault


def _with_a_labels(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{a_labels(domain)}"


def _domain(text: str) -> str:
    name = a_labels(text.lower().removeprefix(".").removesuffix("."))
    if not is_domain(name):
        raise ValueError(f"{text} is not a domain")
    return name


def _network(text: str) -> str:
    try:
        network = ip_network(plain_address(text) or text)
    except ValueError as fault:
        raise ValueError(f"{text} is not a network, as in 192.0.2.0/24") from fault
    if network.version == 4:  # noqa: PLR2004
        if network.prefixlen not in IPV4_LENGTHS:
            raise ValueError(f"{text} is wider than /8")
    elif network.prefixlen not in IPV6_LENGTHS:
        raise ValueError(f"{text}: networks of IPv6 are /16, /20 ... /64, or one address (/128)")
    return str(network)
