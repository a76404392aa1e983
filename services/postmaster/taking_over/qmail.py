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
from postmaster.taking_over.lines import Line, plain_lines
from postmaster.taking_over.postfix import House
from postmaster.taking_over.qmail_access import bad_lists
from postmaster.taking_over.transports import route

# Files that say what settings or other commands say here.
SETTINGS = {
    "me": "set POSTHOUSE_HOSTNAME",
    "helohost": "set POSTHOUSE_HOSTNAME, or a source's name: posthouse source",
    "smtpgreeting": "set POSTHOUSE_GREETING",
    "databytes": "set POSTHOUSE_MESSAGE_OCTETS_MAX",
    "queuelifetime": "set POSTHOUSE_GIVE_UP, or posthouse timetable set",
    "bouncefrom": "set POSTHOUSE_BOUNCE_FROM",
    "bouncehost": "set POSTHOUSE_BOUNCE_HOST",
    "doublebounceto": "set POSTHOUSE_DOUBLE_BOUNCE_ADDRESS",
    "doublebouncehost": "set POSTHOUSE_DOUBLE_BOUNCE_ADDRESS",
    "timeoutremote": "see the settings of delivery-remote",
    "timeoutconnect": "see the settings of delivery-remote",
    "timeoutsmtpd": "see the settings of ingress-smtp",
    "concurrencyremote": "there is no such number: see docs/pace.md",
    "concurrencylocal": "there is no such number",
    "concurrencyincoming": "see docs/limits.md",
    "qmqpservers": "no QMQP: posthouse route set '*' with servers that speak SMTP",
    "percenthack": "addresses are what they say; the percent hack is not done",
    "localiphost": "address literals of ours are not taken",
    "envnoathost": "addresses have a domain here",
    "defaulthost": "addresses have a domain here",
    "idhost": "message ids are named after POSTHOUSE_HOSTNAME",
    "plusdomain": "addresses have a domain here",
    "defaultdomain": "addresses have a domain here; --domain says it for the import",
    "badmailpatterns": "patterns are rules here: posthouse policy rules",
    "badrcptpatterns": "patterns are rules here: posthouse policy rules",
}
PREFIX = ".qmail-"


@dataclass(slots=True)
class _Taking:
    """One import at work: the domain of those without one, the domains of ours."""

    found: Findings
    local: str
    ours: set[str]


def control(folder: Path, house: House) -> Findings:
    """Read ``control/`` in ``folder``, and ``alias/`` beside it; either may be the folder itself."""
    at = folder / "control" if (folder / "control").is_dir() else folder
    locals_ = [each.text.lower() for each in _lines(at / "locals")]
    taking = _Taking(Findings(), house.domain or next(iter(locals_), ""), set(locals_))
    for domain in locals_:
        taking.found.take(NewDomain(domain))
    if taking.local:
        taking.found.take(Delimiters(taking.local, "-"))
    _virtual_domains(at, taking)
    _others(at, taking)
    for line in _lines(at / "smtproutes"):
        _smtp_route(line, taking.found)
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
    """``far.test:joe`` gives joe-ANYTHING what comes for ANYTHING@far.test (qmail-send(8))."""
    for line in _lines(at / "virtualdomains"):
        name, colon, prepend = line.text.lower().partition(":")
        domain = name.rpartition("@")[2]
        if not colon or not is_domain(domain) or domain.startswith("."):
            taking.found.leave(line.where, line.text, "names no single domain")
        elif not prepend:
            taking.found.leave(line.where, line.text, "an exception: nothing is said of it here")
        elif not taking.local:
            taking.found.leave(line.where, line.text, "there is no local domain: give --domain")
        else:
            taking.ours.add(domain)
            taking.found.take(NewDomain(domain))
            dotted = domain.replace(".", "\\.")
            key = name if "@" in name else f"/^(.*)@{dotted}$/"
            local = name.rpartition("@")[0] or "\\1"
            taking.found.enter(line.where, "virtual", key, [f"{prepend}-{local}@{taking.local}"])


def _others(at: Path, taking: _Taking) -> None:
    for line in _lines(at / "rcpthosts"):
        if line.text.lower() not in taking.ours:
            reason = "is neither local nor virtual: mail for others is not taken from strangers"
            taking.found.leave(line.where, line.text, reason)
    if (at / "morercpthosts.cdb").exists() or (at / "morercpthosts").exists():
        taking.found.leave("morercpthosts", "", "add the domains: posthouse domain add")


def _smtp_route(line: Line, found: Findings) -> None:
    """``domain:relay:port``; without a relay by the MX records (qmail-remote(8))."""
    domain, _, rest = line.text.partition(":")
    relay, _, port = rest.partition(":")
    hop = f"{relay}:{port or 25}" if relay else "direct"
    route(line.where, domain or "*", hop, found)


def _settings(at: Path, found: Findings) -> None:
    for file in sorted(at.iterdir()):
        if file.name in SETTINGS:
            for line in _lines(file):
                found.leave(line.where, line.text, SETTINGS[file.name])


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
