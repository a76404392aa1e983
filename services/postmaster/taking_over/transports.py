"""Ways of Postfix's transport(5) and of qmail's smtproutes, as next hops of ours."""

from __future__ import annotations

from posthouse.mail.address import BadAddress
from posthouse.mail.hops import BadHop, parse_hop
from posthouse.mail.patterns import pattern_key
from postmaster.taking_over.changes import Findings, NewRoute

SMTP = frozenset({"", "smtp", "relay", "smtp-amavis", "slow"})


def transport(where: str, key: str, value: str, found: Findings) -> None:
    """Take one line of such a table."""
    hop = hop_of(value)
    if not hop:
        found.leave(where, f"{key} {value}", _why(value))
    elif "@" in key:
        if hop == "direct":
            found.leave(where, f"{key} {value}", "goes by its domain's way without saying so")
        else:
            found.enter(where, "transport", key, [hop])
    else:
        route(where, key, hop, found)


def route(where: str, domain: str, hop: str, found: Findings) -> None:
    """Take a way of a domain."""
    try:
        found.take(NewRoute(pattern_key(domain), (str(parse_hop(hop)),)))
    except (BadAddress, BadHop) as wrong:
        found.leave(where, f"{domain} {hop}", str(wrong))


def hop_of(value: str) -> str:
    """Return ``transport:nexthop`` as a next hop of ours; empty if there is none like it."""
    name, colon, rest = value.partition(":")
    if value.startswith("["):
        name, rest = "", value
    elif not colon:
        return ""
    if name == "lmtp":
        return _lmtp(rest)
    if name not in SMTP:
        return ""
    return _smtp(rest)


def _smtp(rest: str) -> str:
    if not rest:
        return "direct"
    if not rest.startswith("["):
        return f"mx:{rest}"
    host, _, port = rest[1:].partition("]")
    host = f"[{host.removeprefix('ipv6:')}]" if ":" in host else host
    return f"{host}{port}" if port else f"{host}:25"


def _lmtp(rest: str) -> str:
    kind, _, where = rest.partition(":")
    if kind == "unix":
        return f"lmtp:/{where.lstrip('/')}"
    if kind == "inet":
        return f"lmtp:{where}"
    return f"lmtp:{rest.replace('[', '').replace(']', '')}" if rest else ""


def _why(value: str) -> str:
    name = value.partition(":")[0]
    if name in {"local", "virtual"}:
        return "mail of our domains ends here by itself; add the domain and its accounts"
    if name == "error":
        return "write who moved with `posthouse policy map set relocated`"
    if name in {"discard", "hold"}:
        return f"nothing is of itself {name}; see the maps hold-sender and hold-recipient"
    return f"there is no transport {name} here: a server is named as smtp:[host]:port"
