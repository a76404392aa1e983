"""Lines of Postfix's access(5) as allow and deny lists, as holds, as copies."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal, TypeAlias

from posthouse.mail.access_keys import key_of
from postmaster.taking_over.changes import Findings, NewAccess

Action: TypeAlias = Literal["allow", "deny"]

ALLOWS = frozenset({"OK", "PERMIT", "RELAY"})


def access(where: str, role: str, pair: tuple[str, str], found: Findings) -> None:
    """Take one line, asked about the ``role``: sender, recipient, client or hello."""
    key, value = pair
    verb, _, rest = value.partition(" ")
    action = verb.upper()
    text = f"{key} {value}"
    if action == "HOLD" and role in {"sender", "recipient"}:
        found.enter(where, f"hold-{role}", _wide(key), [rest.strip() or "held by an access table"])
    elif action == "BCC" and role in {"sender", "recipient"}:
        found.enter(where, f"{role}-bcc", _wide(key), [rest.strip()])
    elif role == "recipient":
        found.leave(where, text, "lists are of senders and clients; who moved: map relocated")
    elif action in ALLOWS or (action.isdigit() and action.startswith("2")):
        _listed(where, role, key, "allow", found)
    elif action == "REJECT" or (action.isdigit() and action.startswith("5")):
        _listed(where, role, key, "deny", found)
    elif action == "DUNNO":
        found.leave(where, text, "says nothing: exceptions are entries that allow")
    else:
        found.leave(where, text, f"there is nothing like {verb} here")


def _listed(where: str, role: str, key: str, action: Action, found: Findings) -> None:
    try:
        if role == "client":
            change = NewAccess("client", key_of("client", _network(key)), action)
        elif role == "hello":
            change = NewAccess("hello", key_of("hello", key), action)
        else:
            change = NewAccess("sender", key_of("sender", key), action)
    except ValueError as wrong:
        found.leave(where, key, str(wrong))
        return
    if role == "hello" and action == "allow":
        found.leave(where, key, "anybody can claim a name in HELO: write it by hand, forced")
        return
    found.take(change)


def _network(key: str) -> str:
    """Return a client of access(5), also the first octets of an address, as a network."""
    octets = key.split(".")
    if all(each.isdigit() for each in octets) and len(octets) < 4:  # noqa: PLR2004
        wide = ".".join([*octets, *["0"] * (4 - len(octets))])
        return f"{wide}/{8 * len(octets)}"
    return str(ip_network(key))


def _wide(key: str) -> str:
    if key == "<>" or "@" in key:
        return key
    return f"@{key}"
