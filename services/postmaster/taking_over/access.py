"""Lines of Postfix's access(5), also by cidr_table(5), as allow and deny lists, as holds, as copies."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

from posthouse.mail.access_keys import key_of, networks_of
from posthouse.storage.access import Action
from postmaster.taking_over.changes import Findings, NewAccess

Role: TypeAlias = Literal["sender", "recipient", "client", "hello"]

MAX_TEXT = 400
_ALLOWS = frozenset({"OK", "PERMIT", "RELAY"})
_VERBS: dict[str, Action] = {
    "REJECT": "deny", "DEFER": "defer", "DEFER_IF_PERMIT": "defer", "DISCARD": "discard",
    "DUNNO": "except",
}  # fmt: skip
_NOT_HERE = {
    "PREPEND": "no fields are added by lists",
    "FILTER": "where mail goes is said by `posthouse policy map set transport`",
    "REDIRECT": "where mail goes is said by `posthouse alias set` and `posthouse policy map`",
    "WARN": "what an entry would do tells `posthouse policy explain`",
    "INFO": "all that is judged stands in the log and in `posthouse trace`",
    "DEFER_IF_REJECT": "refusals are for good, or for now, by what refuses",
}
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?:\s+|$)")  # RFC 3463 §2
_PATTERN = re.compile(r"!?/.*/|!.*|if|endif")
_OCTETS = 4


@dataclass(slots=True)
class Table:
    """One table at work.

    Attributes:
        role: What it is asked about.
        found: What comes of it.
        before: Networks, from the first line with a mask on: in such a table the first line counts,
            not the smallest network.
    """

    role: Role
    found: Findings
    before: dict[IPv4Network | IPv6Network, str] = field(default_factory=dict)

    def line(self, where: str, key: str, value: str) -> None:
        """Take one line, or tell why not."""
        text, (verb, rest) = f"{key} {value}", _parted(value)
        if _PATTERN.fullmatch(key):
            self.found.leave(where, text, "patterns are rules here: posthouse policy rules")
        elif verb == "HOLD" and self.role in {"sender", "recipient"}:
            said = [rest or "held by an access table"]
            self.found.enter(where, f"hold-{self.role}", _wide(key), said)
        elif verb == "BCC" and self.role in {"sender", "recipient"}:
            self.found.enter(where, f"{self.role}-bcc", _wide(key), [rest])
        elif verb in _NOT_HERE:
            self.found.leave(where, text, _NOT_HERE[verb])
        elif (action := _action(verb)) is None:
            self.found.leave(where, text, f"there is nothing like {verb} here")
        else:
            self._take(where, key, action, rest)

    def _take(self, where: str, key: str, action: Action, rest: str) -> None:
        by_order = self.role == "client" and ("/" in key or bool(self.before))
        hidden = self._hidden(key, action) if by_order else ""
        if hidden:
            self.found.leave(where, key, f"is never reached: {hidden} stands before it")
        elif self.role == "hello" and action == "allow":
            take_entries(self.found, where, key, lambda: _entries(self.role, key, "except"))
        else:
            says = reply(self.found, where, rest) if action in {"deny", "defer"} else ""
            take_entries(self.found, where, key, lambda: _entries(self.role, key, action, says))

    def _hidden(self, key: str, action: Action) -> str:
        """Return the network of a line before that has all of ``key``, and says something else."""
        try:
            network = ip_network(key)
        except ValueError:
            return ""
        wider = (network.supernet(new_prefix=n) for n in range(network.prefixlen + 1))
        known = next((each for each in wider if each in self.before), None)
        self.before.setdefault(network, action)
        return str(known) if known is not None and self.before[known] != action else ""


def take_entries(
    found: Findings, where: str, text: str, make: Callable[[], list[NewAccess]]
) -> None:
    """Take the entries of a line, or tell why there are none."""
    try:
        for each in make():
            found.take(each)
    except ValueError as wrong:
        found.leave(where, text, str(wrong))


def reply(found: Findings, where: str, text: str) -> str:
    """Return what a sender is told, as far as it can be said by SMTP."""
    said = _ENHANCED.sub("", text, count=1).strip()
    if said.isascii() and said.isprintable() and len(said) <= MAX_TEXT:
        return said
    found.leave(where, said, "is no text for a reply; a general one is said")
    return ""


def wild_key(text: str) -> str:
    """Return a key for ``*@far.test``, ``*.far.test`` and their like; raise `ValueError`."""
    local, at, domain = text.rpartition("@")
    if at and local not in {"", "*"}:
        key = text
    else:
        key = domain.removeprefix("*.") if domain != "*" else domain
    if "*" in key or "?" in key:
        raise ValueError(f"{text}: such patterns are rules here: posthouse policy rules")
    return key


def client_entries(text: str, action: Action, says: str = "") -> list[NewAccess]:
    """Return entries for a network, the beginning of one, or a client's name."""
    if text.replace(".", "").isdigit() or ":" in text or "/" in text:
        return [NewAccess("client", key, action, says) for key in networks_of(_network(text))]
    return [NewAccess("reverse", key_of("reverse", text), action, says)]


def _entries(role: Role, key: str, action: Action, says: str = "") -> list[NewAccess]:
    if role == "client":
        return client_entries(key, action, says)
    if key.endswith("@"):
        raise ValueError(f"{key} in any domain: write a rule, posthouse policy rules")
    return [NewAccess(role, key_of(role, key), action, says)]


def _action(verb: str) -> Action | None:
    if verb in _ALLOWS:
        return "allow"
    if verb[:1] in {"4", "5"} and len(verb) == 3 and verb.isdigit():  # noqa: PLR2004
        return "defer" if verb.startswith("4") else "deny"
    return "allow" if verb.isdigit() else _VERBS.get(verb)  # access(5): all digits are OK


def _parted(value: str) -> tuple[str, str]:
    verb, _, rest = value.partition(" ")
    return verb.upper(), rest.strip()


def _network(key: str) -> str:
    """Return a client of access(5), also the first part of an address, as a network."""
    octets = key.removesuffix(".").split(".")
    if all(each.isdigit() for each in octets) and len(octets) < _OCTETS:
        wide = ".".join([*octets, *["0"] * (_OCTETS - len(octets))])
        return f"{wide}/{8 * len(octets)}"
    if ":" in key and "/" not in key:
        try:
            ip_address(key)
        except ValueError:
            groups = key.rstrip(":").split(":")
            return f"{':'.join(groups)}::/{16 * len(groups)}"
    return key


def _wide(key: str) -> str:
    if key == "<>" or "@" in key:
        return key
    return f"@{key}"
