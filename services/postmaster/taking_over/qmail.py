"""The control files of qmail, and the ``.qmail-*`` files of its user alias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from posthouse.mail.address import is_domain
from postmaster.taking_over.changes import (
    CatchAll,
    Delimiters,
    Findings,
    NewAlias,
    NewDomain,
)
from postmaster.taking_over.equivalents import equivalent
from postmaster.taking_over.lines import Line, plain_lines
from postmaster.taking_over.postfix import House
from postmaster.taking_over.qmail_access import LISTS, bad_lists
from postmaster.taking_over.transports import route

# Files that are taken; of each other one it is told what it is here.
TAKEN = frozenset({"locals", "rcpthosts", "morercpthosts", "virtualdomains", "smtproutes", *LISTS})
MAX_SHOWN = 80  # characters of a file that is not taken
PREFIX = ".qmail-"


@dataclass(slots=True)
class _Taking:
    """One import at work: the domain of those without one, the domains of ours, wildcards of theirs."""

    found: Findings
    local: str
    ours: set[str]
    wild: tuple[str, ...] = ()


def control(folder: Path, house: House) -> Findings:
    """Read ``control/`` in ``folder``, and ``alias/`` beside it; either may be the folder itself."""
    at = folder / "control" if (folder / "control").is_dir() else folder
    locals_ = [each.text.lower() for each in _lines(at / "locals")]
    if not (at / "locals").is_file():  # qmail-send(8)
        locals_ = [each.text.lower() for each in _lines(at / "me")]
    taking = _Taking(Findings(), house.domain or next(iter(locals_), ""), set(locals_))
    for domain in locals_:
        taking.found.take(NewDomain(domain))
    if taking.local:
        taking.found.take(Delimiters(taking.local, "-"))
    for domain in locals_[1:]:  # the same people
        taking.found.enter("locals", "virtual", f"@{domain}", [f"@{taking.local}"])
    _virtual_domains(at, taking)
    _others(at, taking)
    for line in _lines(at / "smtproutes"):
        if line.text.partition(":")[0].lower() not in taking.ours:
            route(line.where, *_smtp_route(line), taking.found)
    bad_lists(at, taking.found)
    _settings(at, taking.found)
    beside = at.parent / "alias"
    for file in sorted((beside if beside.is_dir() else folder).glob(f"{PREFIX}*")):
        _dot_qmail(file, taking)
    return taking.found


def _lines(file: Path) -> Iterator[Line]:
    if file.is_file():
        yield from plain_lines(file)


def _virtual_domains(at: Path, taking: _Taking) -> None:
    """``far.test:joe`` gives joe-ANYTHING what comes for ANYTHING@far.test (qmail-send(8)).

    So does ``.far.test:joe`` with what comes for all below it, and ``me@far.test:joe`` with one address.
    """
    for line in _lines(at / "virtualdomains"):
        name, colon, prepend = line.text.lower().partition(":")
        domain = name.rpartition("@")[2]
        below = domain.startswith(".") and "@" not in name
        if not colon or not is_domain(domain.removeprefix(".")) or (not below and domain[0] == "."):
            taking.found.leave(line.where, line.text, "names no domain, and no address of one")
        elif not prepend:
            reason = "an exception: say in the map virtual what becomes of it"
            taking.found.leave(line.where, line.text, reason)
        elif not taking.local:
            taking.found.leave(line.where, line.text, "there is no local domain: give --domain")
        else:
            _virtual_domain(line, name, prepend, taking)


def _virtual_domain(line: Line, name: str, prepend: str, taking: _Taking) -> None:
    local, _, domain = name.rpartition("@")
    plain = domain.removeprefix(".")
    taking.wild += (domain,) if domain != plain else ()
    if domain == plain and not local:
        taking.ours.add(domain)
        taking.found.take(NewDomain(domain))
    dotted = plain.replace(".", "\\.")
    key = name if local else f"/^(.*)@{'' if domain == plain else '.+[.]'}{dotted}$/"
    target = f"{prepend}-{local or chr(92) + '1'}@{taking.local}"
    taking.found.enter(line.where, "virtual", key, [target])


def _others(at: Path, taking: _Taking) -> None:
    """Take domains of rcpthosts that are virtual by a wildcard, or that another server has."""
    ways = dict(map(_smtp_route, _lines(at / "smtproutes")))
    for line in (*_lines(at / "rcpthosts"), *_lines(at / "morercpthosts")):
        domain = line.text.lower()
        if domain in taking.ours or domain in taking.wild:
            continue
        if domain.endswith(taking.wild) and is_domain(domain):
            taking.found.take(NewDomain(domain))
        elif ways.get(domain, "direct") != "direct" and is_domain(domain):
            taking.ours.add(domain)
            taking.found.take(NewDomain(domain))
            taking.found.enter(line.where, "transport", f"@{domain}", [ways[domain]])
        else:
            reason = (
                "is neither local nor virtual and has no way in smtproutes: mail for others is not "
                "taken from strangers"
            )
            taking.found.leave(line.where, line.text, reason)


def _smtp_route(line: Line) -> tuple[str, str]:
    """``domain:relay:port``; without a relay by the MX records (qmail-remote(8))."""
    domain, _, rest = line.text.partition(":")
    relay, _, port = rest.partition(":")
    if rest.startswith("["):  # netqmail's form for an IPv6 address
        relay, _, port = rest.partition("]")
        relay, port = f"{relay}]", port.removeprefix(":")
    return domain.lower() or "*", f"{relay}:{port or 25}" if relay else "direct"


def _settings(at: Path, found: Findings) -> None:
    """Tell what the other files are here; never what stands in keys."""
    for file in sorted(each for each in at.iterdir() if each.is_file()):
        if file.name not in TAKEN and file.suffix != ".cdb":
            lines = [] if file.suffix == ".pem" else [each.text for each in _lines(file)]
            reason = equivalent("qmail", file.name) or "is not known"
            found.leave(file.name, " ".join(lines)[:MAX_SHOWN], reason)
    users = at.parent / "users" / "assign"
    for line in _lines(users):
        found.leave(line.where, line.text, equivalent("qmail", "users/assign"))


def _dot_qmail(file: Path, taking: _Taking) -> None:
    """``.qmail-NAME`` says where mail for NAME goes; colons stand for dots (dot-qmail(5))."""
    name = file.name.removeprefix(PREFIX).replace(":", ".").lower()
    if name.endswith("-owner") or name == "owner":
        return
    targets = tuple(_targets(file, taking))
    if not targets or not taking.local:
        reason = "nothing of it can be taken" if taking.local else "give --domain"
        taking.found.leave(file.name, "", reason)
    elif name == "default":
        if len(targets) == 1:
            taking.found.take(CatchAll(taking.local, targets[0]))
        else:
            taking.found.enter(file.name, "virtual", f"@{taking.local}", targets)
    else:
        has_owner = file.with_name(f"{file.name}-owner").is_file()
        address = f"{name}@{taking.local}"
        owner = f"{name}-owner@{taking.local}" if has_owner else None
        taking.found.take(NewAlias(address, targets, owner))
        if has_owner:
            to = tuple(_targets(file.with_name(f"{file.name}-owner"), taking))
            if to and owner:
                taking.found.take(NewAlias(owner, to))


def _targets(file: Path, taking: _Taking) -> Iterator[str]:
    for line in plain_lines(file):
        if line.text.startswith("|"):
            taking.found.leave(line.where, line.text, "no programs are started")
        elif line.text.startswith(("/", ".")):
            taking.found.leave(line.where, line.text, "files are not written; give it an account")
        else:
            address = line.text.removeprefix("&").strip()
            if "@" not in address and taking.local:
                address = f"{address}@{taking.local}"
            yield address
