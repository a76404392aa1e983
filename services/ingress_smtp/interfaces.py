"""The IP addresses of this machine's interfaces, as Linux tells them (qmail's ipme)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_network
from pathlib import Path

from posthouse.mail.networks import Networks

PROC = Path("/proc/net")
# A leaf of the table of routes, and what is below it: `|-- 192.0.2.25`, `/32 host LOCAL`.
_LEAF = re.compile(r"\|-- ([0-9.]+)\n((?:\s+/\d+ .*\n?)+)")
_LOCAL = re.compile(r"/(\d+) host LOCAL")


def interface_addresses(proc: Path = PROC) -> Networks:
    """Return them as they are now; raise `OSError` if the system does not tell."""
    routes = (proc / "fib_trie").read_text()
    members = {
        ip_network((leaf[1], int(length)))
        for leaf in _LEAF.finditer(routes)
        for length in _LOCAL.findall(leaf[2])
    }
    sixes = proc / "if_inet6"  # not there where IPv6 is switched off
    lines = sixes.read_text().splitlines() if sixes.exists() else []
    others = {ip_network(IPv6Address(int(line.split()[0], 16))) for line in lines}
    return Networks((*sorted(members), *sorted(others)))
