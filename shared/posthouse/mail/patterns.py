"""Patterns for domains and for senders, and the order in which they are looked up.

    a.example.com   [192.0.2.1]         this domain, this address literal
    .example.com                        all below example.com, and not example.com itself
    *                                   whatever else there is

The most specific pattern counts, as in qmail's smtproutes and Postfix's transport tables. For a
sender it is the address, then the domain with an @ before it: ``anna@a.example.com``,
``@a.example.com``, ``@.example.com``, ``@.com``; the null path is ``<>``.
"""

from __future__ import annotations

import ipaddress

from posthouse.mail.address import BadAddress, is_domain, parse_address

EVERYTHING = "*"
NULL_SENDER = "<>"
_IPV6_TAG = "ipv6:"  # RFC 5321 §4.1.3


def patterns_of(domain: str) -> tuple[str, ...]:
    """Return the patterns that fit ``domain``, a name or an address literal; what counts first.

    They are as many as the domain has labels, and one.
    """
    name = domain.lower()
    if name.startswith("["):
        return (literal_key(name) or name, EVERYTHING)
    labels = name.split(".")
    above = (f".{'.'.join(labels[n:])}" for n in range(1, len(labels)))
    return (name, *above, EVERYTHING)


def sender_patterns_of(sender: str) -> tuple[str, ...]:
    """Return the patterns that fit a reverse path; what counts first."""
    if not sender:
        return (NULL_SENDER,)
    path = sender.lower()
    domain = path.rpartition("@")[2]
    return (path, *(f"@{pattern}" for pattern in patterns_of(domain)[:-1]))


def pattern_key(text: str) -> str:
    """Return a pattern for domains in the form in which it is kept; raise `BadAddress`."""
    name = text.lower()
    if name == EVERYTHING or is_domain(name.removeprefix(".")):
        return name
    literal = literal_key(name)
    if literal is None:
        raise BadAddress(f"not a domain, .domain, address literal or *: {text}")
    return literal


def sender_key(text: str) -> str:
    """Return a pattern for senders in the form in which it is kept; raise `BadAddress`.

    ``null`` is the null path, too, for who finds ``<>`` hard to type.
    """
    if text in {NULL_SENDER, "null"}:
        return NULL_SENDER
    if not text.startswith("@"):
        return str(parse_address(text)).lower()
    key = pattern_key(text[1:])
    if key == EVERYTHING:
        raise BadAddress("a route for * serves all senders")
    return f"@{key}"


def literal_key(text: str) -> str | None:
    """Return an address literal in its shortest form, lower case; None if it is none.

    An IPv4 address in IPv6 is the IPv4 address (RFC 4291 §2.5.5.2).
    """
    address = literal_address(text)
    if address is None:
        return None
    return f"[{_IPV6_TAG}{address}]" if ":" in address else f"[{address}]"


def literal_address(text: str) -> str | None:
    """Return the address in ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 §4.1.3)."""
    inner = text[1:-1].lower()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    is_six = inner.startswith(_IPV6_TAG)
    try:
        if not is_six:
            return str(ipaddress.IPv4Address(inner))
        six = ipaddress.IPv6Address(inner.removeprefix(_IPV6_TAG))
    except ValueError:
        return None
    return None if six.scope_id else str(six.ipv4_mapped or six)
