"""Ports on loopback: the well-known ones are settings, all others are whatever is free."""

import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

LOOPBACK = "127.0.0.1"

# Below the kernel's range for outgoing connections (32768 and up), so that no client of ours can
# sit on a port between its choice and its use.
_FREE_FIRST, _FREE_LAST = 20_000, 32_000
_ATTEMPTS = 200

COPY_STRIDE = 100  # the second copy of a service listens this much higher: 2525, 2625

PUBLIC: Mapping[str, int] = MappingProxyType(
    {
        "SMTP_PORT": 2525,
        "SUBMISSION_PORT": 2587,
        "SMTPS_PORT": 2465,
        "IMAP_PORT": 2143,
        "IMAPS_PORT": 2993,
        "POP3_PORT": 2110,
        "POP3S_PORT": 2995,
        "POSTMASTER_PORT": 2080,
    }
)


class PortTaken(Exception):
    """A port that a setting names is in use by somebody else."""


@dataclass(frozen=True, slots=True)
class Port:
    """A listener's port and the setting that gave it, for the message when it is taken."""

    setting: str
    number: int


def is_free(port: int) -> bool:
    """Tell whether a server could listen on ``port`` now."""
    return not _trouble(port)


def _trouble(port: int) -> str:
    """Return why a server could not listen on ``port`` now; empty if it could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            return "is for root alone"
        except OSError:
            return "is in use by another program"
        return ""


def free_ports(count: int, copies: int = 1) -> list[int]:
    """Return ``count`` ports nobody listens on; `PortTaken` if there are not so many.

    They stay ours until this process ends: nobody who asks here, in this process or another, is
    given one of them before its server listens. With ``copies`` the ports of the others are as well.
    """
    chance = random.SystemRandom()
    found: list[int] = []
    for _ in range(_ATTEMPTS + count):
        candidate = chance.randrange(_FREE_FIRST, _FREE_LAST)
        wanted = range(candidate, candidate + copies * COPY_STRIDE, COPY_STRIDE)
        if all(is_free(port) and _reserve(port) for port in wanted):
            found.append(candidate)
        if len(found) == count:
            return found
    raise PortTaken(f"there are no {count} free ports on {LOOPBACK}")


def _reserve(port: int) -> bool:
    """Mark ``port`` as given away by holding the UDP port of the same number; False if it is."""
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind((LOOPBACK, port))
    except OSError:
        mark.close()
        return False
    mark.detach()  # open until the process ends, and not a resource that somebody forgot
    return True


def public_ports(env: Mapping[str, str]) -> dict[str, int]:
    """Read the well-known ports from POSTHOUSE_SMTP_PORT and so on; 0 asks for a free one."""
    chosen: dict[str, int] = {}
    for setting, default in PUBLIC.items():
        text = env.get(f"POSTHOUSE_{setting}", str(default))
        if not text.isdecimal() or int(text) > 65_535 - COPY_STRIDE:
            raise PortTaken(f"{setting}={text}: a port is a number from 0 to 65435")
        chosen[setting] = int(text) or free_ports(1)[0]
    return chosen


def check_free(ports: Sequence[Port]) -> None:
    """Raise `PortTaken` naming every port in use, or wanted twice, and the settings that move them."""
    _check_distinct(ports)
    taken = {port: trouble for port in ports if (trouble := _trouble(port.number))}
    if not taken:
        return
    lines = [
        f"port {port.number} on {LOOPBACK} ({port.setting}) {trouble}"
        for port, trouble in taken.items()
    ]
    settings = dict.fromkeys(port.setting for port in taken)
    others = zip(settings, free_ports(len(settings)), strict=True)
    way = " ".join(f"{setting}={number}" for setting, number in others)
    raise PortTaken("\n".join([*lines, f"Choose others, for instance: make run {way}"]))


def _check_distinct(ports: Sequence[Port]) -> None:
    wanted: dict[int, str] = {}
    clashes = []
    for port in ports:
        other = wanted.setdefault(port.number, port.setting)
        if other != port.setting:
            clashes.append(f"port {port.number} is wanted by {other} and by {port.setting}")
    if clashes:
        raise PortTaken(
            "\n".join(clashes) + f"\n(copy n of a service listens {COPY_STRIDE}*(n-1) higher)"
        )
