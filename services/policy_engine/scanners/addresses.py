"""Where scanners are: ``host:port``, ``[v6]:port``, ``https://host:port``, ``/path/of/a/socket``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_PORT = 65_535
_HOST_PORT = re.compile(
    r"(?P<scheme>https?://)?(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One scanner's door.

    Attributes:
        host: Name or IP address; empty for a socket of this machine.
        port: Its TCP port.
        path: The socket's; empty for TCP.
        is_tls: It is spoken to by TLS.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    is_tls: bool = False

    def __str__(self) -> str:
        """Return it as it is written in settings."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{'https://' if self.is_tls else ''}{host}:{self.port}"


def parse_addresses(text: str, *, by_http: bool = False) -> tuple[Address, ...]:
    """Return the addresses in ``text``, which commas part; raise `ValueError` if one is none.

    ``by_http``: ``https://`` may stand before one, and ``http://``.
    """
    return tuple(
        _address(part.strip(), by_http=by_http) for part in text.split(",") if part.strip()
    )


def _address(text: str, *, by_http: bool) -> Address:
    if text.startswith("/"):
        return Address(path=text)
    found = _HOST_PORT.fullmatch(text)
    is_one = found is not None and 0 < int(found["port"]) <= _MAX_PORT
    if found is None or not is_one or (found["scheme"] and not by_http):
        also = ", https://host:port" if by_http else ""
        raise ValueError(
            f"{text!r} must look like host:port, [2001:db8::1]:port{also} or /path/of/socket"
        )
    host, is_tls = found["six"] or found["host"], found["scheme"] == "https://"
    return Address(host=host, port=int(found["port"]), is_tls=is_tls)
