"""Postfix's main.cf: its domains, networks, ways and tables are taken; of each other setting it is told what it is here.

Only what the file sets is looked at; defaults are not. Tables are read beside main.cf, under their own names, so that
a copy of ``/etc/postfix`` can be taken over on another machine; elsewhere only if main.cf is that of this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path

from posthouse.mail.address import is_domain
from posthouse.mail.hops import BadHop, parse_hop
from posthouse.mail.networks import BadNetworks, parse_networks
from postmaster.taking_over.changes import Delimiters, Findings, NewDomain, NewNetwork, NewRelay
from postmaster.taking_over.equivalents import equivalent
from postmaster.taking_over.lines import TooLarge, logical_lines, plain_lines
from postmaster.taking_over.postfix import TABLES, House
from postmaster.taking_over.transports import hop_of, route

MAX_EXPANSIONS = 10  # of $name in one another
MAPPED_BITS = 96  # before the IPv4 address in an IPv6 one (RFC 4291 §2.5.5.2)
UNKNOWN = "is none of policy; services/ingress_smtp/README.md, docs/ways.md and docs/queue.md tell of more"
HOME = Path("/etc/postfix")
READ = frozenset(
    {"hash", "lmdb", "btree", "dbm", "cdb", "texthash", "sdbm", "regexp", "pcre", "cidr"}
)
FORMS = {
    "alias_maps": "postfix-aliases",
    "virtual_alias_maps": "postfix-virtual",
    "canonical_maps": "postfix-canonical",
    "sender_canonical_maps": "postfix-sender-canonical",
    "recipient_canonical_maps": "postfix-recipient-canonical",
    "smtp_generic_maps": "postfix-generic",
    "transport_maps": "postfix-transport",
    "sender_bcc_maps": "postfix-sender-bcc",
    "recipient_bcc_maps": "postfix-recipient-bcc",
    "relocated_maps": "postfix-relocated",
    "sender_dependent_relayhost_maps": "postfix-sender-relays",
    "check_client_access": "postfix-client-access",
    "check_helo_access": "postfix-helo-access",
    "check_sender_access": "postfix-sender-access",
    "check_recipient_access": "postfix-recipient-access",
}
CHECKS = {
    "header_checks": "header {} ALL =~",
    "mime_header_checks": "full {}",
    "nested_header_checks": "full {}",
    "body_checks": "rawbody {}",
}
DOMAINS = frozenset({"mydestination", "virtual_alias_domains", "virtual_mailbox_domains"})
_NAME = re.compile(r"\$(?:\((\w+)\)|\{(\w+)\}|(\w+))")
_CHECK = re.compile(r"/(.*)/[a-z]*\s+([A-Za-z]+)(?:\s.*)?")
_ZONE = re.compile(r"reject_(?:rbl|rhsbl)_\w+|permit_(?:dnswl|rhswl)_client")

Reader = Callable[[Path, House], Findings]


@dataclass(slots=True)
class _Config:
    """One main.cf at work.

    Attributes:
        folder: Where it is.
        set: What it sets, unexpanded.
        house: What its tables leave out.
        found: What comes of it.
    """

    folder: Path
    set: Mapping[str, str]
    house: House
    found: Findings = field(default_factory=Findings)

    def value(self, name: str) -> str:
        """Return a setting with what it names put in."""
        text = self.set.get(name, "")
        for _ in range(MAX_EXPANSIONS):
            after = _NAME.sub(lambda m: self.set.get(m[1] or m[2] or m[3], ""), text)
            if after == text:
                break
            text = after
        return text

    def file(self, where: str) -> Path:
        """Return where a file is that the settings name."""
        beside = self.folder / Path(where).name
        is_of_this_machine = self.folder.resolve() == HOME
        return Path(where) if is_of_this_machine and not beside.is_file() else beside

    def origin(self) -> str:
        """Return the domain of addresses without one (myorigin); empty if that is none."""
        text = self.value("myorigin")
        if text.startswith("/"):
            try:
                text = next((line.text for line in plain_lines(self.file(text))), "")
            except (OSError, TooLarge):
                text = ""
        text = text or self.value("mydomain") or self.value("myhostname").partition(".")[2]
        return text.lower() if is_domain(text) else ""

    def words(self, name: str) -> list[str]:
        """Return its parts."""
        return self.value(name).replace(",", " ").split()


def config(source: Path, house: House) -> Findings:
    """Read main.cf, or the folder that it is in, and the tables that it names."""
    file = source / "main.cf" if source.is_dir() else source
    pairs = (line.text.partition("=") for line in logical_lines(file))
    made = _Config(
        file.parent, {name.strip(): value.strip() for name, _, value in pairs if value}, house
    )
    if not house.domain:
        made.house = replace(house, domain=made.origin())
    for name in made.set:
        for taker in (_tables, _checks, _domains, _ways, _networks, _restrictions):
            if taker(made, name):
                break
        else:
            _tell(made, name)
    return made.found


def sender_relays(file: Path, house: House) -> Findings:  # noqa: ARG001 - as the others
    """Read sender_dependent_relayhost_maps: ways of senders."""
    found = Findings()
    for line in logical_lines(file):
        sender, _, value = line.text.partition(" ")
        hop = hop_of(f"smtp:{value.strip()}") if value.strip() else ""
        if hop and hop != "direct":
            found.take(NewRelay(sender.lower(), (_parsed(hop),)))
        else:
            found.leave(line.where, line.text, "names no server: its mail goes by its recipients")
    return found


def _parsed(hop: str) -> str:
    try:
        return str(parse_hop(hop))
    except BadHop:  # told by who is asked to write it
        return hop


ALL_TABLES: dict[str, Reader] = {**TABLES, "postfix-sender-relays": sender_relays}


def _tables(made: _Config, name: str) -> bool:
    """Take over the tables that ``name`` is set to."""
    form = FORMS.get(name)
    if form is None:
        return False
    for each in made.words(name):
        _table(made, name, form, each)
    return True


def _table(made: _Config, name: str, form: str, table: str) -> None:
    kind, colon, where = table.removeprefix("proxy:").partition(":")
    text = f"{name} = {table}"
    if not colon or kind not in READ:
        made.found.leave("main.cf", text, f"tables of type {kind} are not read")
        return
    try:
        other = ALL_TABLES[form](made.file(where), made.house)
    except FileNotFoundError:
        made.found.leave("main.cf", text, "is not there: copy it beside main.cf")
        return
    except (OSError, TooLarge) as fault:
        made.found.leave("main.cf", text, f"cannot be read: {fault}")
        return
    made.found.changes += other.changes
    made.found.left += other.left


def _checks(made: _Config, name: str) -> bool:
    """Tell of each line of header_checks and body_checks which rule does the same."""
    if name not in CHECKS:
        return False
    for table in made.words(name):
        try:
            lines = list(logical_lines(made.file(table.partition(":")[2])))
        except (OSError, TooLarge) as fault:
            made.found.leave("main.cf", f"{name} = {table}", f"cannot be read: {fault}")
            continue
        for number, line in enumerate(lines, 1):
            reason = _rule(CHECKS[name], f"PF_{name.upper()}_{number}", line.text)
            made.found.leave(line.where, line.text, reason)
    return True


def _rule(kind: str, name: str, line: str) -> str:
    """Return what would be written into a file of rules for a line of header_checks(5)."""
    found = _CHECK.fullmatch(line)
    if found is None:
        return equivalent("postfix", "header_checks")
    rule = f"write as a rule: {kind.format(name)} /{found[1]}/im"
    action = found[2].upper()
    if action == "REJECT":
        return f"{rule}; score {name} 100"
    if action == "HOLD":
        return f"{rule}; score {name} 0.001; then posthouse policy access hold rule {name}"
    return f"{rule}; {equivalent('postfix', f'{action} (checks)') or 'not as an action'}"


def _domains(made: _Config, name: str) -> bool:
    if name not in DOMAINS:
        return False
    delimiters = made.value("recipient_delimiter")
    for word in made.words(name):
        domain = word.lower()
        if ":" in word or "/" in word:
            made.found.leave("main.cf", f"{name} = {word}", "add its domains: posthouse domain add")
        elif is_domain(domain) and "." in domain and not domain.startswith("localhost."):
            made.found.take(NewDomain(domain))
            if delimiters and set(delimiters) <= set("+-="):
                made.found.take(Delimiters(domain, delimiters))
    return True


def _ways(made: _Config, name: str) -> bool:
    value = made.value(name)
    if name == "relayhost":
        if value:
            route("main.cf", "*", hop_of(f"smtp:{value}"), made.found)
    elif name == "always_bcc":
        made.found.enter("main.cf", "sender-bcc", "*", [_qualified(value, made)])
    elif name == "masquerade_domains":
        spared = made.words("masquerade_exceptions")
        for domain in made.words(name):
            made.found.enter("main.cf", "masquerade", f"@.{domain}", spared)
    else:
        return name in {"recipient_delimiter", "masquerade_exceptions"} | {"myorigin", "mydomain"}
    return True


def _networks(made: _Config, name: str) -> bool:
    if name != "mynetworks":
        return False
    for word in made.words(name):
        text = word.replace("[", "").replace("]", "")
        try:
            [network] = parse_networks(text.removeprefix("!")).members
        except (BadNetworks, ValueError):
            made.found.leave("main.cf", f"mynetworks = {word}", "is no network")
            continue
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None:
            network = ip_network(
                f"{mapped}/{max(0, network.prefixlen - MAPPED_BITS)}", strict=False
            )
        if not network.is_loopback:
            made.found.take(NewNetwork(str(ip_network(network)), relay=not text.startswith("!")))
    return True


def _restrictions(made: _Config, name: str) -> bool:
    """Take over the tables of a list of restrictions; tell what the others are here."""
    if not name.endswith("_restrictions"):
        return False
    words = made.words(name)
    for verb, argument in _verbs(words):
        if verb in FORMS:
            _table(made, f"{name}: {verb}", FORMS[verb], argument)
        elif _ZONE.fullmatch(verb):
            zone, _, codes = argument.partition("=")
            asked = f"posthouse policy zone set {zone}" + (" --codes ..." if codes else "")
            made.found.leave("main.cf", f"{name}: {verb} {argument}", asked)
        else:
            reason = equivalent("postfix", verb) or "is not known"
            made.found.leave("main.cf", f"{name}: {' '.join((verb, argument)).strip()}", reason)
    return True


def _verbs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each restriction with its argument, which has a colon, a dot or follows a list's name."""
    at = 0
    while at < len(words):
        verb, rest = words[at], words[at + 1 : at + 2]
        takes = bool(rest) and (verb.startswith("check_") or bool(_ZONE.fullmatch(verb)))
        yield verb, rest[0] if takes else ""
        at += 2 if takes else 1


def _tell(made: _Config, name: str) -> None:
    reason = equivalent("postfix", name) or UNKNOWN
    made.found.leave("main.cf", f"{name} = {made.set[name]}", reason)


def _qualified(text: str, made: _Config) -> str:
    return text if "@" in text else f"{text}@{made.house.domain}"
