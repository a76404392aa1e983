"""Tables of Postfix: aliases(5), virtual(5), canonical(5), generic(5), relocated(5), bcc, transport(5), access(5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from posthouse.mail.address import is_domain, is_local_part
from postmaster.taking_over.access import Role, Table
from postmaster.taking_over.changes import Findings, NewAlias, NewDomain
from postmaster.taking_over.lines import Line, TooLarge, logical_lines, read, targets_of
from postmaster.taking_over.qmail_access import tcprules
from postmaster.taking_over.spamassassin import lists
from postmaster.taking_over.transports import transport

MAX_INCLUDED = 1000  # addresses of one list


@dataclass(frozen=True, slots=True)
class House:
    """What the tables leave out.

    Attributes:
        domain: Of addresses without one (Postfix's ``myorigin``); empty: such lines are not taken.
    """

    domain: str = ""


def aliases(file: Path, house: House) -> Findings:
    """Read ``/etc/aliases``; ``owner-LIST`` makes LIST a group with that owner."""
    found = Findings()
    made: dict[str, tuple[str, ...]] = {}
    for line in logical_lines(file):
        name, colon, rest = line.text.partition(":")
        address = _qualified(name.strip().strip('"'), house)
        if not colon or not address:
            found.leave(line.where, line.text, _unqualified(house) if colon else "is no alias")
            continue
        targets = tuple(_alias_targets(line, rest, house, found))
        if targets and set(targets) != {address}:
            made[address] = targets
        elif not targets:
            found.leave(line.where, line.text, "nothing of it can be taken")
    for address, targets in made.items():
        owner = made.get(f"owner-{address}")
        found.take(NewAlias(address, targets, owner[0] if owner else None))
    return found


def _alias_targets(line: Line, text: str, house: House, found: Findings) -> Iterator[str]:
    for target in targets_of(text):
        if target.startswith("|"):
            found.leave(line.where, target, "no programs are started; its mail needs a mailbox")
        elif target.startswith(":include:"):
            yield from _included(line, target, house, found)
        elif target.startswith("/"):
            found.leave(line.where, target, "files are not written; give it an account")
        elif address := _qualified(target.removeprefix("\\"), house):
            yield address
        else:
            found.leave(line.where, target, _unqualified(house))


def _included(line: Line, target: str, house: House, found: Findings) -> Iterator[str]:
    """Yield the addresses of a list as they stand there now."""
    path = Path(target.removeprefix(":include:"))
    try:
        lines = [raw.partition("#")[0] for raw in read(path).splitlines()]
    except (OSError, TooLarge) as fault:
        found.leave(line.where, target, f"the list cannot be read: {fault}")
        return
    members = [each for raw in lines for each in targets_of(raw)]
    for member in members[:MAX_INCLUDED]:
        address = _qualified(member, house)
        if address:
            yield address
        else:
            found.leave(line.where, f"{target}: {member}", "is no address that can be taken")
    if len(members) > MAX_INCLUDED:
        found.leave(
            line.where, target, f"has more than {MAX_INCLUDED} members; the rest is missing"
        )


def virtual(file: Path, house: House) -> Findings:
    """Read a table of virtual addresses; a line for a domain alone says that the domain is ours."""
    found = Findings()
    for line, key, value in _pairs(file, found):
        if is_domain(key) and "." in key:
            found.take(NewDomain(key.lower()))
            continue
        parts = targets_of(_groups(value).replace(" ", ","))
        targets = [_qualified(each, house) or each for each in parts]
        found.enter(line.where, "virtual", _map_key(key), targets)
    return found


def _rewriting(kind: str) -> Callable[[Path, House], Findings]:
    def imported(file: Path, house: House) -> Findings:
        found = Findings()
        for line, key, value in _pairs(file, found):
            target = _qualified(value, house) or value
            found.enter(line.where, kind, _map_key(key), [_groups(target)])
        return found

    return imported


def _copying(kind: str) -> Callable[[Path, House], Findings]:
    def imported(file: Path, house: House) -> Findings:
        found = Findings()
        for line, key, value in _pairs(file, found):
            found.enter(line.where, kind, _map_key(key), [_qualified(value, house) or value])
        return found

    return imported


def relocated(file: Path, house: House) -> Findings:  # noqa: ARG001 - as the others
    """Read who is somewhere else now: what follows the key is told to senders."""
    found = Findings()
    for line, key, value in _pairs(file, found):
        found.enter(line.where, "relocated", _map_key(key), [value])
    return found


def transports(file: Path, house: House) -> Findings:  # noqa: ARG001 - as the others
    """Read ways: those of domains become routes, those of addresses entries of the map."""
    found = Findings()
    for line, key, value in _pairs(file, found):
        transport(line.where, key, value, found)
    return found


def _accesses(role: Role) -> Callable[[Path, House], Findings]:
    def imported(file: Path, house: House) -> Findings:  # noqa: ARG001 - as the others
        found = Findings()
        table = Table(role, found)
        for line, key, value in _pairs(file, found):
            table.line(line.where, key, value)
        return found

    return imported


def tcp_rules(file: Path, house: House) -> Findings:  # noqa: ARG001 - as the others
    """Read the rules of qmail's tcpserver, ``tcp.smtp``."""
    found = Findings()
    tcprules(file, found)
    return found


def spam_assassin(file: Path, house: House) -> Findings:  # noqa: ARG001 - as the others
    """Read the lists in a file of SpamAssassin, or in all ``*.cf`` of a folder."""
    found = Findings()
    for each in sorted(file.glob("*.cf")) if file.is_dir() else [file]:
        lists(each, found)
    return found


def _pairs(file: Path, found: Findings) -> Iterator[tuple[Line, str, str]]:
    """Yield key and value of each line; what is pattern and flags is one key."""
    for line in logical_lines(file):
        words = line.text.split(None, 1)
        if len(words) == 1 or words[0] in {"if", "endif"} or words[0].startswith("!"):
            found.leave(line.where, line.text, "is no key with a value")
        else:
            yield line, words[0], words[1].strip()


def _map_key(key: str) -> str:
    """Return a key of Postfix as one of ours: ``user`` is user@, patterns ignore case."""
    if key.startswith("/"):
        body = key[1:].rpartition("/")[0]
        return f"/(?i){body}/"
    return f"{key}@" if "@" not in key and is_local_part(key) else key


def _groups(target: str) -> str:
    for number in range(1, 10):
        target = target.replace(f"${{{number}}}", f"\\{number}").replace(
            f"${number}", f"\\{number}"
        )
    return target


def _qualified(text: str, house: House) -> str:
    if "@" in text or not text:
        return text
    return f"{text}@{house.domain}" if house.domain and is_local_part(text) else ""


def _unqualified(house: House) -> str:
    return "is no address" if house.domain else "has no domain: say which with --domain"


TABLES: dict[str, Callable[[Path, House], Findings]] = {
    "postfix-aliases": aliases,
    "postfix-virtual": virtual,
    "postfix-canonical": _rewriting("canonical"),
    "postfix-sender-canonical": _rewriting("sender-canonical"),
    "postfix-recipient-canonical": _rewriting("recipient-canonical"),
    "postfix-generic": _rewriting("generic"),
    "postfix-transport": transports,
    "postfix-sender-access": _accesses("sender"),
    "postfix-recipient-access": _accesses("recipient"),
    "postfix-client-access": _accesses("client"),
    "postfix-helo-access": _accesses("hello"),
    "postfix-sender-bcc": _copying("sender-bcc"),
    "postfix-recipient-bcc": _copying("recipient-bcc"),
    "postfix-relocated": relocated,
    "qmail-tcprules": tcp_rules,
    "spamassassin": spam_assassin,
}
