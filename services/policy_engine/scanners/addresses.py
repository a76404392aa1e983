"""Where scanners are: ``host:port``, ``[v6]:port``, ``/path/of/a/socket``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_PORT = 65_535
_HOST_PORT = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One scanner's door.

    Attributes:
        host: Name or IP address; empty for a socket of this machine.
        port: Its TCP port.
        path: The socket's; empty for TCP.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return it as it is written in settings."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Return the addresses in ``text``, which commas part; raise `ValueError` if one is none."""
    return tuple(_address(part.strip()) for part in text.split(",") if part.strip())


def _address(text: str) -> Address:
    if text.startswith("/"):
        return Address(path=text)
    found = _HOST_PORT.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= _MAX_PORT:
        raise ValueError(
            f"{text!r} must look like host:port, [2001:db8::1]:port or /path/of/socket"
        )
    return Address(host=found["six"] or found["host"], port=int(found["port"]))
