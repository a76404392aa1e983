"""Whom qmail refuses: badmailfrom, badhelo, badrcptto, and the rules of tcpserver (tcprules(1))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, summarize_address_range
from pathlib import Path

from posthouse.mail.access_keys import Kind, key_of
from posthouse.storage.access import Action
from postmaster.taking_over.access import client_entries, reply, take_entries, wild_key
from postmaster.taking_over.changes import Findings, NewAccess
from postmaster.taking_over.lines import Line, plain_lines

# Control files, as patches of qmail have them, too; ``!`` is an exception.
LISTS: dict[str, Kind] = {
    "badmailfrom": "sender", "badmailfromwc": "sender", "badhelo": "hello", "badrcptto": "recipient",
}  # fmt: skip
_OCTETS = 4
_VARIABLE = re.compile(r",([A-Za-z_][A-Za-z0-9_]*)=(.)(.*?)\2")


def bad_lists(at: Path, found: Findings) -> None:
    """Read those of `LISTS` that are in the folder ``at``."""
    for name, kind in LISTS.items():
        if (at / name).is_file():
            for line in plain_lines(at / name):
                _bad(line, kind, found)


def tcprules(file: Path, found: Findings) -> None:
    """Read ``address:deny`` and ``address:allow,VARIABLE="value"``."""
    for line in plain_lines(file):
        address, colon, said = _halves(line.text)
        if not colon:
            found.leave(line.where, line.text, "is no rule of tcprules")
        elif not address.lstrip("="):
            found.leave(line.where, line.text, "is about everybody")
        elif "@" in address:
            found.leave(line.where, line.text, "what a client's ident server says is not asked")
        else:
            _rule(line, address, said, found)


def _bad(line: Line, kind: Kind, found: Findings) -> None:
    text = line.text.removeprefix("!").strip()
    action: Action = "except" if line.text.startswith("!") else "deny"
    take_entries(
        found,
        line.where,
        line.text,
        lambda: [NewAccess(kind, key_of(kind, wild_key(text)), action)],
    )


def _halves(text: str) -> tuple[str, str, str]:
    """Part a rule at the colon before its instruction; addresses of IPv6 have colons, too."""
    found = re.fullmatch(r"(.*?):((?:allow|deny)\b.*)", text, re.IGNORECASE)
    return (found[1], ":", found[2]) if found else (text, "", "")


def _rule(line: Line, address: str, said: str, found: Findings) -> None:
    variables = {name: value for name, _, value in _VARIABLE.findall(said)}
    if "RELAYCLIENT" in variables:
        reason = f"who may relay: posthouse network add {address.lstrip('=')}"
        found.leave(line.where, line.text, reason)
        return
    action, text = _action(said, variables)
    says = reply(found, line.where, text)
    take_entries(found, line.where, line.text, lambda: list(_entries(address, action, says)))
    if others := set(variables) - {"RBLSMTPD"}:
        reason = "variables are settings here"
        found.leave(line.where, ", ".join(sorted(others)), reason)


def _action(said: str, variables: dict[str, str]) -> tuple[Action, str]:
    """Return what is done, and the reply: what RBLSMTPD says (rblsmtpd(1))."""
    if said.lower().startswith("deny"):
        return "deny", ""
    text = variables.get("RBLSMTPD")
    if text is None:
        return "except", ""
    if not text:
        return "allow", ""
    return ("deny", text[1:].strip()) if text.startswith("-") else ("defer", text)


def _entries(address: str, action: Action, says: str) -> Iterator[NewAccess]:
    if address.startswith("="):
        yield NewAccess("reverse", key_of("reverse", address[1:]), action, says)
        return
    for network in _networks(address):
        yield from client_entries(network, action, says)


def _networks(address: str) -> Iterator[str]:
    """Yield ``192.0.2.`` as it is, and ``192.0.2.0-63`` as the networks it is made of."""
    if "-" not in address:
        yield address
        return
    octets = address.removesuffix(".").split(".")
    first, last = ".".join(each.partition("-")[0] for each in octets), octets[:]
    last[-1] = octets[-1].partition("-")[2]
    missing = _OCTETS - len(octets)
    low = ip_address(first + ".0" * missing)
    high = ip_address(".".join(last) + ".255" * missing)
    yield from (str(each) for each in summarize_address_range(low, high))
